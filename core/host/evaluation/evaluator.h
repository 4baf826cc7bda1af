#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "host/experiment/experiment.h"
#include "host/ranks/communicator.h"

namespace marginalia {

/// What to measure, and on what.
struct EvaluationRequest {
  const Children<Metric>& metrics;
  Count rows;
  Split split = Split::kTest;
  std::uint64_t seed = 0;
  double chain_health = 0;   ///< split R-hat of the training chain as last logged; NaN: unknown
  bool in_training = false;  ///< then an EnergyFailure is thrown: training cannot go on without it
  Communicator* ranks = nullptr;  ///< whose others answer_along() meanwhile; null: one process
};

/// Measures the family, which is in training afterwards.  -> {"seconds", "split", "reference",
/// "metrics": {METRIC: {ESTIMATOR: measurement}}, "unavailable": {METRIC: reason}} as in
/// evaluation.json; "reference" where chains stood for exact samples (reference_samples.h).
Json evaluate(Experiment& experiment, const EvaluationRequest& request);
/// What ranks other than 0 do while rank 0 evaluates: they answer for a share of the rows of its
/// questions. The family is in training afterwards.
void answer_along(Family& family, Communicator& ranks);

/// The value of "metric/estimator" in what `evaluate` returned; throws SpecError, naming what there
/// is, when it is not there.
double measured_value(const Json& evaluation, const std::string& key);

}  // namespace marginalia
