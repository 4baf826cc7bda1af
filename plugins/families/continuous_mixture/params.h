#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include <marginalia/params.h>

#include "shared/families/objectives.h"

namespace marginalia::mixture {

// What training does once the decoder is learned.
struct NoRefinement : NoParams {
  static constexpr const char* kName = "none";
  static constexpr const char* kDoc = "nothing: points move at random to the end";
};
struct LatentOptimisation {
  static constexpr const char* kName = "latent_optimisation";
  static constexpr const char* kDoc =
      "points_test points and their weights are trained, the decoder as it is: a mixture of that "
      "many components, which answers";
  double begin = 0.6;
  void visit(ParamVisitor& p) {
    p("begin", begin, {.doc = "progress of training at which it begins", .min = 0.0, .max = 1.0});
  }
};

// How the log-odds of a variable's levels vary with z.
struct EachLevel : NoParams {
  static constexpr const char* kName = "levels";
  static constexpr const char* kDoc = "each level by itself";
};
struct Polynomials {
  static constexpr const char* kName = "polynomials";
  static constexpr const char* kDoc =
      "of a variable on a scale by a polynomial in the normal scores of its levels: of degree 2 a "
      "Gaussian that moves and widens, which learns numbers from few rows";
  std::int64_t degree = 2;
  void visit(ParamVisitor& p) { p("degree", degree, {.doc = "R", .min = 1, .max = 16}); }
};

struct Params {
  std::int64_t latents = 8, hidden = 256, layers = 3, points = 1024, points_test = 16384;
  std::variant<objectives::ByData, objectives::Likelihood, objectives::Reinforce> objective;
  std::variant<NoRefinement, LatentOptimisation> refinement;
  std::variant<EachLevel, Polynomials> numbers;
  std::string leaves = "independent";
  bool bfloat16 = false;
  void visit(ParamVisitor& p) {
    p("latents", latents, {.doc = "d, dimension of z", .min = 1, .max = 1000});
    p("hidden", hidden, {.doc = "H, width of the decoder", .min = 1});
    p("layers", layers, {.doc = "of the decoder, before its output", .min = 1});
    p("points", points,
      {.doc = "N of a training step; best a power of two", .min = 1, .max = 1 << 20});
    p("points_test", points_test,
      {.doc = "N of every answer; best a power of two", .min = 1, .max = 1 << 20});
    p.choice("objective", objective, "what is maximised, or minimised");
    p.choice("refinement", refinement, "what training does once the decoder is learned");
    p.choice("numbers", numbers, "how the log-odds of numbers vary with z");
    p("leaves", leaves,
      {.doc = "p(x | z): variables independent, or along the Chow-Liu tree of the dataset",
       .one_of = {"independent", "chow_liu"}});
    p("bfloat16", bfloat16,
      {.doc = "hidden products of the decoder in bfloat16 while it trains, though "
              "training.precision be float32"});
  }
};

}  // namespace marginalia::mixture
