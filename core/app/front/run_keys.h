#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/json.h>

namespace marginalia::app {

/// What stands in a run's record at a key of its spec, at "metric/estimator" of its evaluation, or
/// at a key of run.json; null where nothing does. Keys are dotted.
const Json* find_in(const Json& run, const std::string& key);

/// Refuses a key that none of these runs has, nor will have once it has ended, with the nearest
/// that one has.
void check_keys(const std::vector<Json>& runs, const std::vector<std::string>& keys);

}  // namespace marginalia::app
