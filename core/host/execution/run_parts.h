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

/// Does before the first step what ranks must agree on: throws SpecError on all where they cannot
/// train this, or differ in spec, build or data; puts the parameters of rank 0 on all.
void prepare_ranks(Communicator& ranks, Experiment& experiment, const Environment& environment);

/// What a rank other than 0 does of a run: it trains along, from `checkpoint`, answers along, and
/// writes nothing.
RunResult follow(const std::filesystem::path& folder, Experiment& experiment,
                 const std::filesystem::path& checkpoint, const Environment& environment,
                 const Hooks& hooks);

/// Warns where one of these sections of the spec takes bfloat16 without the hardware for it.
void warn_of_precision(const Experiment& experiment, const std::vector<std::string>& sections,
                       const Hooks& hooks);

/// evaluation.json of a run's checkpoint, which the experiment's family holds. ranks: as of
/// EvaluationRequest.
Json make_evaluation(Experiment& experiment, std::int64_t step, const std::filesystem::path& run,
                     Communicator* ranks = nullptr);

/// Fills the family, of all ranks where there are several (not null), with the checkpoint that
/// answers for a finished run.  -> its step.
std::int64_t load_finished(const std::filesystem::path& run, Experiment& experiment,
                           Communicator* ranks);

}  // namespace marginalia::execution
