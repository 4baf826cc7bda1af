#pragma once

#include <memory>
#include <string>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/params.h>

namespace marginalia::mam {

using marginalia::Energy;
using marginalia::LogConditionals;
using marginalia::StateVisitor;
using marginalia::Step;
using torch::Tensor;

/// Where the full states that training sees come from.
class StateSource {
 public:
  virtual ~StateSource() = default;
  /// -> int64 [rows, D], on the CPU.
  virtual Tensor draw(Step& step, std::int64_t rows, const LogConditionals& model) = 0;
  virtual void visit(StateVisitor&) {}
};

struct ChainParams {
  std::int64_t chains = 2048, sweeps = 4, burn_in = 200, block = 4, replay = 0, pool = 65536;
  double rejuvenate = 0;
  std::string start = "random", watch = "mean";
  void visit(marginalia::ParamVisitor& p) {
    p("count", chains, {.doc = "persistent chains", .min = 2});
    p("sweeps", sweeps, {.doc = "Gibbs sweeps each time a chain is used", .min = 1});
    p("start", start,
      {.doc =
           "random states; exact samples of the energy's oracle, which need no burn-in and reach "
           "what single changes never would (states: gibbs); or uniform states resampled by f, "
           "for targets that a part of all states comes near",
       .one_of = {"random", "exact", "resampled"}});
    p("pool", pool,
      {.doc = "uniform states that chains are resampled from (start: resampled)", .min = 1});
    p("burn_in", burn_in, {.doc = "Gibbs sweeps before the first use", .min = 0});
    p("block", block, {.doc = "variables redrawn by the model at a time", .min = 1});
    p("rejuvenate", rejuvenate,
      {.doc = "split R-hat above which all chains are drawn anew by the model; 0: never",
       .min = 0.0});
    p("watch", watch,
      {.doc = "what split R-hat is of: the mean value of a state, or what the conditional network "
              "says at it, an image of its last layer, of which the largest counts",
       .one_of = {"mean", "outputs"}});
    p("replay", replay, {.doc = "past states kept and mixed in, half and half; 0: none", .min = 0});
  }
};

/// `kind`: "gibbs", exact sweeps of the energy's local conditionals; "model", persistent chains in
/// which blocks are redrawn by the model, begun from data where there are any; "metropolis", the
/// same, accepted or refused so that the target stays invariant; "data", rows of the dataset.
std::unique_ptr<StateSource> make_source(const std::string& kind, const ChainParams& params,
                                         const marginalia::FamilyContext& context);

}  // namespace marginalia::mam
