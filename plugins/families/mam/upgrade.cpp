/// \file
/// Format 1 had the parameters of all alternatives side by side: "label_sweeps" beside "objective".
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "params.h"
#include "shared/families/upgrade.h"

namespace marginalia::mam {
namespace {

Json upgrade_labels(OldParams& old) {
  const auto sweeps = old.take("label_sweeps"), changes = old.take("label_changes");
  const bool by_sweeps = sweeps.is_number() && sweeps > 0;
  if (by_sweeps && changes == true)
    throw SpecError("\"label_changes\" and \"label_sweeps\" are two ways to one thing: give one");
  if (by_sweeps) return {{"type", GibbsSweeps::kName}, {"count", sweeps}};
  return changes == true ? Json(SingleChanges::kName) : Json();
}

Json upgrade_stages(OldParams& old) {
  Json stages{{"type", old.take("stages")}};
  auto fraction = old.take("conditional_fraction");
  if (stages.at("type") != TwoStage::kName) return {};
  if (!fraction.is_null()) stages["conditional_fraction"] = fraction;
  return shortest_choice(stages, true);
}

Json upgrade_targets(OldParams& old) {
  const auto blocks = old.take("blocks"), power = old.take("size_power");
  auto points = old.take("points");
  if (blocks.is_number() && blocks > 0) {
    if (power.is_number() && power != 1)
      throw SpecError("\"size_power\" is for marginals fitted at links, without \"blocks\"");
    Json paths{{"type", PathTargets::kName}, {"blocks", blocks}};
    if (!points.is_null()) paths["points"] = points;
    return paths;
  }
  if (power.is_null() || power == 1) return {};
  return {{"type", LinkTargets::kName}, {"size_power", power}};
}

/// Drops parameters that mean something to denoising alone, where the objective is another.
void drop_of_denoising(OldParams& old, const Json& objective, bool at_links) {
  const std::pair<const char*, Json> idle[] = {
      {"label_changes", false}, {"blocks", 0}, {"stages", Joint::kName}};
  for (const auto& [key, nothing] : idle)
    if (const auto given = old.take(key); !given.is_null() && given != nothing)
      throw SpecError(fmt::format("\"{}\" is for \"objective\": \"denoising\", not {}", key,
                                  objective.at("type").dump()));
  for (const auto* key : {"label_sweeps", "points", "conditional_fraction", "consistency_weight"})
    old.take(key);
  if (at_links) return;
  if (const auto power = old.take("size_power"); power.is_number() && power != 1)
    throw SpecError("\"size_power\" is for marginals fitted at links");
}

Json upgrade_objective(OldParams& old) {
  const auto given = old.take("objective");
  auto objective = choice_as_object(given, DenoisingParams::kName);
  const Json type = objective.at("type");
  if (type == DenoisingParams::kName) {
    put_given(objective, "labels", upgrade_labels(old));
    put_given(objective, "stages", upgrade_stages(old));
    put_given(objective, "targets", upgrade_targets(old));
    old.move({"consistency_weight"}, objective);
  } else {
    const bool at_links = type == ConsistencyParams::kName;
    drop_of_denoising(old, objective, at_links);
    if (at_links) old.move({"size_power"}, objective);
  }
  auto alpha = old.take("alpha");
  if (type == KlPenaltyParams::kName && !alpha.is_null()) objective["alpha"] = alpha;
  return shortest_choice(objective, !given.is_null());
}

constexpr const char* kAnyStart = "random";

/// Takes "start" of chains together with its "pool".
Json upgrade_start(OldParams& chain, const std::string& states) {
  const auto pool = chain.take("pool"), start = chain.take("start");
  if (start.is_object()) return start;
  if (start == ResampledStart::kName) {
    if (states == ModelStates::kName || states == DataStates::kName)
      throw SpecError(
          "\"start\": \"resampled\" needs states of the target: \"gibbs\" or \"metropolis\"");
    Json resampled{{"type", start}};
    if (!pool.is_null()) resampled["pool"] = pool;
    return shortest_choice(resampled, true);
  }
  if (start == ExactStart::kName && states != GibbsStates::kName)
    throw SpecError("\"start\": \"exact\" is for \"states\": \"gibbs\"");
  return start.is_null() || start == kAnyStart ? Json() : start;
}

/// The kind of states: "auto" is named where only one of them had a meaning.
std::string choose_kind(const Json& states, const Json& chain, double on_policy) {
  const auto kind = states.at("type").get<std::string>();
  if (kind != AutoStates::kName) return kind;
  if (on_policy > 0) return DataStates::kName;
  return chain.value("start", Json()) == ExactStart::kName ? GibbsStates::kName : kind;
}

Json upgrade_states(OldParams& old) {
  const auto named = old.take("states"), given = old.take("chain"), share = old.take("on_policy");
  auto states = choice_as_object(named, AutoStates::kName);
  const auto on_policy = share.is_number() ? share.get<double>() : 0;
  OldParams chain(given);
  if (!states.at("type").is_string()) return states;
  const auto kind = choose_kind(states, given.is_object() ? given : Json::object(), on_policy);
  states["type"] = kind;
  if (on_policy > 0 && kind != DataStates::kName)
    throw SpecError("\"on_policy\" is for \"states\": \"data\"; other states have their chains");
  Json chains = Json::object();
  chain.move({"count", "replay", "rejuvenate", "watch"}, chains);
  const bool any = kind == AutoStates::kName;
  if (any || kind == GibbsStates::kName) chain.move({"sweeps", "burn_in"}, chains);
  if (any || kind != GibbsStates::kName) chain.move({"block"}, chains);
  put_given(chains, "start", upgrade_start(chain, kind));
  if (kind == DataStates::kName) {
    if (on_policy > 0) {
      chains["share"] = share;
      states["on_policy"] = Json{{"type", OnPolicyChains::kName}};
      states["on_policy"].update(chains);
    }
  } else {
    states.update(chains);
  }
  return shortest_choice(states, !named.is_null() || kind != AutoStates::kName);
}

}  // namespace

Json upgrade(const Json& given) {
  OldParams old(given);
  Json now = Json::object();
  old.move({"type"}, now);
  put_given(now, "objective", upgrade_objective(old));
  put_given(now, "states", upgrade_states(old));
  now.update(old.left());  // what stays, and what nobody knows
  return now;
}

}  // namespace marginalia::mam
