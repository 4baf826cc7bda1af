#pragma once

#include <string>

#include <marginalia/json.h>

#include "measurement_facts.h"

namespace marginalia {

/// What a run ends with: what was measured, a line each: metric, estimator, value, standard error,
/// unit, status. A number that holds within an interval has that in the place of its standard
/// error; one that is a bound from one side is marked. facts: an error of something is called so.
std::string results_table(const Json& metrics, const MetricFacts& facts);

}  // namespace marginalia
