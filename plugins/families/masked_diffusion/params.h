#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include <marginalia/json.h>
#include <marginalia/params.h>

/// Parameters of masked diffusion. An alternative's stand in its own struct, and exist in a spec
/// only where it is chosen.
namespace marginalia::masked_diffusion {

// What the bound on -log p(x) is estimated from.
struct ByTime {
  static constexpr const char* kName = "by_time";
  static constexpr const char* kDoc = "a time for each row, as published";
  double least_time = 1e-3;
  void visit(ParamVisitor& p) {
    p("least_time", least_time,
      {.doc = "t from which the bound is integrated", .min = 1e-6, .max = 0.5});
  }
};
struct BySize : NoParams {
  static constexpr const char* kName = "by_size";
  static constexpr const char* kDoc =
      "a number of variables, which integrates over times in closed form and is less noisy";
};
using HiddenParams = std::variant<ByTime, BySize>;
inline constexpr const char* kHiddenDoc = "what the bound is estimated from";

struct ReplayParams {
  std::int64_t size = 1024, fresh = 256, every = 10, replicates = 4;
  void visit(ParamVisitor& p) {
    p("size", size, {.doc = "paths kept at most, the latest", .min = 2});
    p("fresh", fresh, {.doc = "paths drawn at a time", .min = 2});
    p("every", every, {.doc = "steps between draws of fresh paths", .min = 1});
    p("replicates", replicates,
      {.doc = "R, sets of variables hidden of each state that a step takes", .min = 1});
  }
};

// What is minimised.
struct AutoParams {
  static constexpr const char* kName = "auto";
  static constexpr const char* kDoc = "elbo where there is a dataset, else weighted_denoising";
  HiddenParams hidden;
  ReplayParams replay;
  void visit(ParamVisitor& p) {
    p.choice("hidden", hidden, kHiddenDoc);
    p.section("replay", replay, "paths kept, without a dataset");
  }
};
struct ElboParams {
  static constexpr const char* kName = "elbo";
  static constexpr const char* kDoc = "the continuous-time bound of a dataset";
  HiddenParams hidden;
  void visit(ParamVisitor& p) { p.choice("hidden", hidden, kHiddenDoc); }
};
struct LogVarianceParams {
  static constexpr const char* kName = "log_variance";
  static constexpr const char* kDoc = "of an energy the variance of log f - log q over paths";
  std::int64_t terms = 0, siblings = 1;
  double root_fraction = 0.5;
  void visit(ParamVisitor& p) {
    p("terms", terms,
      {.doc = "of each path that the gradient is taken of, drawn at random; 0: all D", .min = 0});
    p("siblings", siblings,
      {.doc = "paths that begin together at a state which the model has drawn in part, and have a "
              "variance of their own, so that what came before is no noise; 1: all begin at the "
              "empty state",
       .min = 1});
    p("root_fraction", root_fraction,
      {.doc = "share of paths that start from the empty state where there are siblings",
       .min = 0.0,
       .max = 1.0});
  }
};
struct WeightedDenoisingParams {
  static constexpr const char* kName = "weighted_denoising";
  static constexpr const char* kDoc = "of an energy the bound at the ends of weighted paths";
  HiddenParams hidden;
  ReplayParams replay;
  void visit(ParamVisitor& p) {
    p.choice("hidden", hidden, kHiddenDoc);
    p.section("replay", replay, "paths kept");
  }
};
using ObjectiveParams =
    std::variant<AutoParams, ElboParams, LogVarianceParams, WeightedDenoisingParams>;

/// After each step `rounds` times: a `share` of the variables that were drawn so far, one at least,
/// is hidden again and redrawn.
struct Corrector {
  std::int64_t rounds = 0;
  double share = 0.1;
  void visit(ParamVisitor& p) {
    p("rounds", rounds, {.doc = "after each of the steps that a sample is asked in", .min = 0});
    p("share", share,
      {.doc = "of the variables drawn so far that a round hides and redraws, one at least",
       .min = 0.0,
       .max = 1.0});
  }
};

struct Params {
  ObjectiveParams objective;
  std::string schedule = "linear";
  Corrector corrector;
  void visit(ParamVisitor& p) {
    p.choice("objective", objective, "what is minimised");
    p("schedule", schedule,
      {.doc = "m(t), the share hidden by time t: t, t^2 or sin(pi t / 2); also of the steps of "
              "samples",
       .one_of = {"linear", "quadratic", "cosine"}});
    p.section("corrector", corrector, "of samples in steps");
  }
};

/// The parameters of a spec of format 1, where all alternatives stood side by side.
Json upgrade(const Json& old);

}  // namespace marginalia::masked_diffusion
