#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include <marginalia/json.h>
#include <marginalia/params.h>

/// Parameters of a marginalization model. An alternative's stand in its own struct, and exist in a
/// spec only where it is chosen.
namespace marginalia::mam {

// What persistent chains have in common.
struct ChainParams {
  std::int64_t chains = 2048, replay = 0;
  double rejuvenate = 0;
  std::string watch = "mean";
  void visit(ParamVisitor& p) {
    p("count", chains, {.doc = "persistent chains", .min = 2});
    p("replay", replay, {.doc = "past states kept and mixed in, half and half; 0: none", .min = 0});
    p("rejuvenate", rejuvenate,
      {.doc = "split R-hat above which all chains are drawn anew by the model; 0: never",
       .min = 0.0});
    p("watch", watch,
      {.doc = "what split R-hat is of: the mean value of a state, or what the conditional network "
              "says at it, an image of its last layer, of which the largest counts",
       .one_of = {"mean", "outputs"}});
  }
};

// Where chains start.
struct RandomStart : NoParams {
  static constexpr const char* kName = "random";
  static constexpr const char* kDoc = "uniform states; metropolis chains as with \"model\"";
};
struct ModelStart : NoParams {
  static constexpr const char* kName = "model";
  static constexpr const char* kDoc = "rows of the dataset where there is one, else of the model";
};
struct ExactStart : NoParams {
  static constexpr const char* kName = "exact";
  static constexpr const char* kDoc =
      "exact samples of the energy's oracle, which need no burn-in and reach what single changes "
      "never would";
};
struct ResampledStart {
  static constexpr const char* kName = "resampled";
  static constexpr const char* kDoc =
      "uniform states resampled by f, for targets that a part of all states comes near";
  std::int64_t pool = 65536;
  void visit(ParamVisitor& p) {
    p("pool", pool, {.doc = "uniform states that chains are resampled from", .min = 1});
  }
};

// Where the full states that training sees come from.
struct SweepParams {
  std::int64_t sweeps = 4, burn_in = 200;
  void visit(ParamVisitor& p) {
    p("sweeps", sweeps, {.doc = "Gibbs sweeps each time a chain is used", .min = 1});
    p("burn_in", burn_in, {.doc = "Gibbs sweeps before the first use", .min = 0});
  }
};
struct BlockParams {
  std::int64_t block = 4;
  void visit(ParamVisitor& p) {
    p("block", block, {.doc = "variables redrawn by the model at a time", .min = 1});
  }
};

struct GibbsStates : ChainParams, SweepParams {
  static constexpr const char* kName = "gibbs";
  static constexpr const char* kDoc = "sweeps of the energy's local conditionals";
  std::variant<RandomStart, ExactStart, ResampledStart> start;
  void visit(ParamVisitor& p) {
    ChainParams::visit(p);
    SweepParams::visit(p);
    p.choice("start", start, "where chains start");
  }
};

struct ModelStates : ChainParams, BlockParams {
  static constexpr const char* kName = "model";
  static constexpr const char* kDoc = "chains in which blocks are redrawn by the model, from rows "
                                      "of the dataset where there is one";
  void visit(ParamVisitor& p) {
    ChainParams::visit(p);
    BlockParams::visit(p);
  }
};

struct MetropolisStates : ChainParams, BlockParams {
  static constexpr const char* kName = "metropolis";
  static constexpr const char* kDoc =
      "the same, accepted or refused so that the target stays invariant";
  std::variant<ModelStart, ResampledStart> start;
  void visit(ParamVisitor& p) {
    ChainParams::visit(p);
    BlockParams::visit(p);
    p.choice("start", start, "where chains start");
  }
};

struct NoOnPolicy : NoParams {
  static constexpr const char* kName = "none";
  static constexpr const char* kDoc = "data alone";
};
struct OnPolicyChains : ModelStates {
  static constexpr const char* kName = "chains";
  static constexpr const char* kDoc = "chains of the model, in which blocks are redrawn";
  double share = 0.5;
  void visit(ParamVisitor& p) {
    p("share", share, {.doc = "of the states of R^2", .min = 0.0, .max = 1.0});
    ModelStates::visit(p);
  }
};
struct DataStates {
  static constexpr const char* kName = "data";
  static constexpr const char* kDoc = "rows of the dataset";
  std::variant<NoOnPolicy, OnPolicyChains> on_policy;
  void visit(ParamVisitor& p) {
    p.choice("on_policy", on_policy, "what takes the place of rows in R^2");
  }
};

struct AutoStates : ChainParams, SweepParams, BlockParams {
  static constexpr const char* kName = "auto";
  static constexpr const char* kDoc =
      "gibbs where the energy has local conditionals, else metropolis; without an energy data";
  std::variant<RandomStart, ResampledStart> start;
  void visit(ParamVisitor& p) {
    ChainParams::visit(p);
    SweepParams::visit(p);
    BlockParams::visit(p);
    p.choice("start", start, "where chains start");
  }
};

using States = std::variant<AutoStates, GibbsStates, MetropolisStates, ModelStates, DataStates>;

// What the conditionals are taught where they are denoised.
struct HardLabels : NoParams {
  static constexpr const char* kName = "hard";
  static constexpr const char* kDoc = "the values of the state";
};
struct GibbsSweeps {
  static constexpr const char* kName = "gibbs_sweeps";
  static constexpr const char* kDoc =
      "p(x_i | all others), averaged over Gibbs sweeps of the unknown variables from the state";
  std::int64_t count = 32;
  void visit(ParamVisitor& p) { p("count", count, {.doc = "sweeps", .min = 1}); }
};
struct SingleChanges : NoParams {
  static constexpr const char* kName = "single_changes";
  static constexpr const char* kDoc = "p(x_i | all others), from log f at every single change of a "
                                      "state: 1 + D (K - 1) evaluations "
                                      "of it, for energies without local conditionals";
};
using LabelParams = std::variant<HardLabels, GibbsSweeps, SingleChanges>;

// When marginals are fitted, and to what.
struct Joint : NoParams {
  static constexpr const char* kName = "joint";
  static constexpr const char* kDoc = "both heads at once";
};
struct TwoStage {
  static constexpr const char* kName = "two_stage";
  static constexpr const char* kDoc =
      "conditionals first, then marginals of those on what is frozen of them";
  double conditional_fraction = 0.5;
  void visit(ParamVisitor& p) {
    p("conditional_fraction", conditional_fraction,
      {.doc = "of training spent on the first stage; 0 with training.init from a run of it",
       .min = 0.0,
       .max = 1.0});
  }
};
struct LinkTargets {
  static constexpr const char* kName = "links";
  static constexpr const char* kDoc = "R^2 at one link, as published";
  double size_power = 1;
  void visit(ParamVisitor& p) {
    p("size_power", size_power,
      {.doc = "a: training states know D u^a variables, u uniform; above 1 more of them know few, "
              "where evidence tells the most",
       .min = 0.1,
       .max = 10.0});
  }
};
struct PathTargets {
  static constexpr const char* kName = "paths";
  static constexpr const char* kDoc =
      "sums of conditionals along a whole order, so that errors of links do not add up";
  std::int64_t blocks = 8, points = 1;
  std::string mean = "log_probability";
  void visit(ParamVisitor& p) {
    p("blocks", blocks,
      {.doc =
           "m, sums of an order, each to a random cut of it; D or more: to every variable of it, "
           "and exact",
       .min = 1});
    p("mean", mean,
      {.doc = "over orders: of log p, which is low by half the variance of an order's log p, or of "
              "p, which an ensemble of orders answers with; that needs exact sums",
       .one_of = {"log_probability", "probability"}});
    p("points", points,
      {.doc = "passes inside each block that its sum is estimated from: more of them, less noise",
       .min = 1});
  }
};

// What is minimised.
struct DenoisingParams {
  static constexpr const char* kName = "denoising";
  static constexpr const char* kDoc =
      "masked cross-entropy in the conditionals, R^2 in the marginals";
  LabelParams labels;
  std::variant<Joint, TwoStage> stages;
  std::variant<LinkTargets, PathTargets> targets;
  double consistency_weight = 1;
  void visit(ParamVisitor& p) {
    p.choice("labels", labels, "what the conditionals are taught at a state");
    p.choice("stages", stages, "when the marginals are fitted");
    p.choice("targets", targets, "what the marginals are fitted to");
    p("consistency_weight", consistency_weight, {.doc = "of the marginals' loss", .min = 0.0});
  }
};
struct ConsistencyParams : LinkTargets {
  static constexpr const char* kName = "consistency";
  static constexpr const char* kDoc = "R^2 at one link, in both networks";
};
struct ParticleParams : NoParams {
  static constexpr const char* kName = "particle";
  static constexpr const char* kDoc =
      "R^2 in both networks at the last link and at one k from the end, k ~ Poisson(log D)";
};
struct KlPenaltyParams {
  static constexpr const char* kName = "kl_penalty";
  static constexpr const char* kDoc =
      "REINFORCE on KL plus alpha (D R^2 + (F(empty) - log K^D)^2), as published";
  double alpha = 4;
  void visit(ParamVisitor& p) { p("alpha", alpha, {.doc = "weight of the penalty", .min = 0.0}); }
};
using ObjectiveParams =
    std::variant<DenoisingParams, ConsistencyParams, ParticleParams, KlPenaltyParams>;

struct Params {
  ObjectiveParams objective;
  States states;
  std::int64_t masks = 1;
  void visit(ParamVisitor& p) {
    p.choice("objective", objective, "what is minimised");
    p.choice("states", states, "where training states come from");
    p("masks", masks,
      {.doc = "sets of variables hidden of each state, which share its labels; a step takes "
              "batch_size / masks states",
       .min = 1});
  }
};

/// The parameters of a spec of format 1, where all alternatives stood side by side.
Json upgrade(const Json& old);

}  // namespace marginalia::mam
