/// \file
/// Format 1 had the parameters of all alternatives side by side: "terms" beside "objective".
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "params.h"
#include "shared/families/upgrade.h"

namespace marginalia::masked_diffusion {
namespace {

/// Takes "hidden" together with "least_time"; objectives that hide nothing drop both.
Json upgrade_hidden(OldParams& old) {
  const auto given = old.take("hidden");
  auto hidden = choice_as_object(given, ByTime::kName);
  auto least = old.take("least_time");
  if (hidden.at("type") == ByTime::kName && !least.is_null()) hidden["least_time"] = least;
  return shortest_choice(hidden, !given.is_null());
}

Json upgrade_objective(OldParams& old) {
  const auto given = old.take("objective"), replay = old.take("replay");
  auto objective = choice_as_object(given, AutoParams::kName);
  const Json type = objective.at("type");
  if (type == LogVarianceParams::kName) {
    old.move({"terms", "siblings"}, objective);
    put_given(objective, "root_fraction", old.take("whole"));
  } else if (const auto siblings = old.take("siblings"); siblings.is_number() && siblings > 1) {
    throw SpecError("\"siblings\" is for \"objective\": \"log_variance\"");
  }
  const auto hidden = upgrade_hidden(old);
  if (type != LogVarianceParams::kName) put_given(objective, "hidden", hidden);
  if (type == WeightedDenoisingParams::kName || type == AutoParams::kName)
    put_given(objective, "replay", replay);
  for (const auto* key : {"terms", "whole"})
    old.take(key);
  return shortest_choice(objective, !given.is_null());
}

}  // namespace

Json upgrade(const Json& given) {
  OldParams old(given);
  Json now = Json::object();
  old.move({"type"}, now);
  put_given(now, "objective", upgrade_objective(old));
  now.update(old.left());  // what stays, and what nobody knows
  return now;
}

}  // namespace marginalia::masked_diffusion
