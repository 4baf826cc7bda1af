/// \file
/// Format 1 had "lambda" beside "objective", and "backward" beside "order".
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "params.h"
#include "shared/families/upgrade.h"

namespace marginalia::gflownet {

static Json upgrade_objective(OldParams& old) {
  const auto given = old.take("objective"), lambda = old.take("lambda");
  auto objective = choice_as_object(given, SubtrajectoryBalance::kName);
  if (objective.at("type") == SubtrajectoryBalance::kName) put_given(objective, "lambda", lambda);
  return shortest_choice(objective, !given.is_null());
}

static Json upgrade_order(OldParams& old) {
  const auto given = old.take("order"), backward = old.take("backward");
  auto order = choice_as_object(given, RandomReveal::kName);
  if (order.at("type") == LearnedReveal::kName)
    put_given(order, "backward", backward);
  else if (backward == "learned")
    throw SpecError("\"backward\": \"learned\" is for \"order\": \"learned\"");
  return shortest_choice(order, !given.is_null());
}

Json upgrade(const Json& given) {
  OldParams old(given);
  Json now = Json::object();
  old.move({"type"}, now);
  put_given(now, "objective", upgrade_objective(old));
  put_given(now, "order", upgrade_order(old));
  now.update(old.left());  // what stays, and what nobody knows
  return now;
}

}  // namespace marginalia::gflownet
