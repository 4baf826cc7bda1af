#pragma once

#include <cstdint>
#include <string>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/params.h>

#include "state_sources.h"

namespace marginalia::mam {

struct Params {
  std::string objective = "denoising", states = "auto", stages = "joint";
  double size_power = 1, consistency_weight = 1, alpha = 4, conditional_fraction = 0.5,
         on_policy = 0;
  std::int64_t label_sweeps = 0, masks = 1, blocks = 0, points = 1;
  bool label_changes = false;
  ChainParams chain;
  void visit(marginalia::ParamVisitor& p) {
    p("objective", objective,
      {.doc = "what is minimised: kl_penalty, REINFORCE on KL plus alpha (D R^2 + (F(empty) - "
              "log K^D)^2); consistency, R^2 in both networks; particle, R^2 in both at the last "
              "link and at one k from the end, k ~ Poisson(log D); denoising, masked cross-entropy "
              "in the conditionals and R^2 in the marginals",
       .one_of = {"kl_penalty", "consistency", "particle", "denoising"}});
    p("states", states,
      {.doc = "where training states come from; auto: gibbs where the energy has local "
              "conditionals, else metropolis; without an energy data",
       .one_of = {"auto", "gibbs", "model", "metropolis", "data"}});
    p("stages", stages,
      {.doc = "both heads at once, or conditionals first and then marginals of those on what is "
              "frozen of them",
       .one_of = {"joint", "two_stage"}});
    p("conditional_fraction", conditional_fraction,
      {.doc = "of training spent on the first stage; 0 with training.init from a run of it",
       .min = 0.0,
       .max = 1.0});
    p("on_policy", on_policy,
      {.doc = "share of the states of R^2 that come from chains of the model (states: data)",
       .min = 0.0,
       .max = 1.0});
    p("size_power", size_power,
      {.doc = "a: training states know D u^a variables, u uniform; above 1 more of them know few, "
              "where evidence tells the most (at links)",
       .min = 0.1,
       .max = 10.0});
    p("blocks", blocks,
      {.doc = "m: marginals are fitted to m sums of conditionals along a whole order in place of "
              "R^2 at one link; 0: R^2, as published",
       .min = 0});
    p("points", points,
      {.doc = "passes inside each block that its sum is estimated from: more of them, less noise",
       .min = 1});
    p("consistency_weight", consistency_weight, {.doc = "of R^2 (denoising)", .min = 0.0});
    p("label_sweeps", label_sweeps,
      {.doc = "Gibbs sweeps that soften labels (denoising with local conditionals); 0: none",
       .min = 0});
    p("label_changes", label_changes,
      {.doc =
           "labels p(x_i | all others), from log f at every single change of a state: "
           "1 + D (K - 1) evaluations of it, for energies without local conditionals (denoising)"});
    p("masks", masks,
      {.doc = "sets of variables hidden of each state, which share its labels; a step takes "
              "batch_size / masks states",
       .min = 1});
    p("alpha", alpha, {.doc = "weight of the penalty (kl_penalty)", .min = 0.0});
    p.section("chain", chain, "of the states");
  }
};

/// `params` with "auto" resolved; throws SpecError where one of them needs what is not there.
inline Params checked(Params p, const marginalia::FamilyContext& context) {
  using marginalia::SpecError;
  if (p.states == "auto")
    p.states = !context.energy ? "data" : context.energy->local() ? "gibbs" : "metropolis";
  const bool of_target = p.states == "gibbs" || p.states == "metropolis";
  if (p.objective != "denoising" && !context.energy)
    throw SpecError("\"objective\": \"" + p.objective + "\" needs an \"energy\"");
  if (p.label_sweeps > 0 && !context.energy)
    throw SpecError("\"label_sweeps\" needs an \"energy\"");
  if (p.label_sweeps > 0 && !of_target)
    throw SpecError("\"label_sweeps\" needs states of the target: \"gibbs\" or \"metropolis\"");
  if (p.label_changes && !context.energy) throw SpecError("\"label_changes\" needs an \"energy\"");
  if (p.label_changes && !of_target)
    throw SpecError("\"label_changes\" needs states of the target: \"gibbs\" or \"metropolis\"");
  if (p.label_changes && p.label_sweeps > 0)
    throw SpecError("\"label_changes\" and \"label_sweeps\" are two ways to one thing: give one");
  if (p.label_changes && p.objective != "denoising")
    throw SpecError("\"label_changes\" is for \"objective\": \"denoising\"");
  const bool at_links = p.blocks == 0 && p.stages == "joint" &&
                        (p.objective == "denoising" || p.objective == "consistency");
  if (p.size_power != 1 && !at_links)
    throw SpecError("\"size_power\" is for joint training at links: \"objective\" \"denoising\" or "
                    "\"consistency\", without \"blocks\" or \"two_stage\"");
  if (p.chain.start == "exact" && p.states != "gibbs")
    throw SpecError("\"start\": \"exact\" is for \"states\": \"gibbs\"");
  if (p.chain.start == "resampled" && !of_target)
    throw SpecError(
        "\"start\": \"resampled\" needs states of the target: \"gibbs\" or \"metropolis\"");
  if (p.on_policy > 0 && p.states != "data")
    throw SpecError("\"on_policy\" is for \"states\": \"data\"; other states have their chains");
  if (p.blocks > 0 && p.objective != "denoising")
    throw SpecError("\"blocks\" is for \"objective\": \"denoising\"");
  if (p.stages == "two_stage" && p.objective != "denoising")
    throw SpecError("\"stages\": \"two_stage\" is for \"objective\": \"denoising\"");
  return p;
}

}  // namespace marginalia::mam
