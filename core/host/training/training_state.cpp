#include "training_state.h"

#include <cmath>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/json.h>

namespace marginalia {

/// JSON has no NaN and no infinity: they are written as text.
static Json recorded_to_json(const std::map<std::string, RecordedValues>& recorded) {
  Json json = Json::object();
  for (const auto& [name, values] : recorded)
    json[name] = {
        std::isfinite(values.sum) ? Json(values.sum) : Json(fmt::format("{}", values.sum)),
        values.count};
  return json;
}

static std::map<std::string, RecordedValues> recorded_from_json(const Json& json) {
  std::map<std::string, RecordedValues> recorded;
  for (const auto& [name, values] : json.items())
    recorded[name] = {values.at(0).is_string() ? std::stod(values.at(0).get<std::string>())
                                               : values.at(0).get<double>(),
                      values.at(1)};
  return recorded;
}

std::string TrainingState::to_text() const {
  const Json json = {{"step", step},
                     {"seconds", seconds},
                     {"energy_evaluations", energy_evaluations},
                     {"passes", passes},
                     {"rows_consumed", rows_consumed},
                     {"best_step", best_step},
                     {"best_value", best_value},
                     {"evaluations_since_best", evaluations_since_best},
                     {"unmeasured", unmeasured},
                     {"recorded", recorded_to_json(recorded)}};
  return json.dump();
}

TrainingState TrainingState::from_text(const std::string& text) try {
  const auto json = Json::parse(text);
  return {json.at("step"),
          json.at("seconds"),
          json.at("energy_evaluations"),
          json.at("passes"),
          json.at("rows_consumed"),
          json.at("best_step"),
          json.at("best_value"),
          json.at("evaluations_since_best"),
          json.value("unmeasured", false),  // older checkpoints have neither of these
          recorded_from_json(json.value("recorded", Json::object()))};
} catch (const std::exception&) {
  throw Error("what it says of its training is damaged; resume from another checkpoint");
}

}  // namespace marginalia
