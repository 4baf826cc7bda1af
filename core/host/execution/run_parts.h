#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "environment.h"
#include "host/experiment/experiment.h"
#include "run.h"

/// What running, resuming and measuring share.
namespace marginalia::execution {

std::string now();  ///< "2026-01-31T23:59:59Z"
int count_threads(const Environment& environment);
std::int64_t parameter_count(const Experiment& experiment);

/// What run.json says when a run begins.
Json first_record(const RunRequest& request, const Experiment& experiment,
                  const Environment& environment);

/// Warns where one of these sections of the spec takes bfloat16 without the hardware for it.
void warn_of_precision(const Experiment& experiment, const std::vector<std::string>& sections,
                       const Hooks& hooks);

/// evaluation.json of a run's checkpoint, which the experiment's family holds.
Json make_evaluation(Experiment& experiment, std::int64_t step, const std::filesystem::path& run);

}  // namespace marginalia::execution
