#pragma once

#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include <marginalia/spec.h>

namespace marginalia {

/// How a number of a recorded run compares with that of another run of the same spec.
enum class Agreement {
  kIdentical,    ///< equal, to the last bit
  kWithinError,  ///< apart by no more than three of their standard errors, or by 1e-6 of their size
  kDiffers,
  kMissing,  ///< only one of them has it
};
std::string_view to_string(Agreement agreement);

struct ComparedNumber {
  std::string name;  ///< "nll/masked", "nll/masked stderr", "train/loss at step 50", "parameters"
  Json recorded, again;
  Agreement agreement;
};

/// Two runs, number by number: counts of run.json, every figure of evaluation.json with its
/// standard error, and every line of metrics.jsonl. Times and rates are left out: they are never
/// equal; so are steps and their lines where a budget of seconds ended the run. Throws Error when a
/// run cannot be read.
std::vector<ComparedNumber> compare_runs(const std::filesystem::path& recorded,
                                         const std::filesystem::path& again);

/// What sets the two apart beside their numbers, as "threads: 2, now 4": program, build, machine.
std::vector<std::string> changed_circumstances(const std::filesystem::path& recorded,
                                               const std::filesystem::path& again);

}  // namespace marginalia
