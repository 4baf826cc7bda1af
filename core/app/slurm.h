#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace marginalia::app {

/// A study for SLURM: a task an experiment, each a call of this program; an array of them, or
/// several where SLURM allows no array that is long enough.
struct SlurmStudy {
  std::string name;
  std::filesystem::path folder;                 ///< of the study
  std::vector<std::string> experiments;         ///< those still to do
  std::vector<std::vector<std::string>> calls;  ///< [experiments]: this program's arguments
  std::vector<std::string> report_call;         ///< what is called once, when all have ended
  std::int64_t most_tasks = 1001;               ///< of an array: what MaxArraySize allows
  int at_once = 0;                              ///< tasks at a time; 0: as many as SLURM lets
  int threads = 0;                              ///< cores of a task; 0: as SLURM gives
  std::vector<std::string> options;             ///< for sbatch, of every job: "--time=02:00:00"
};

/// MaxArraySize as `scontrol show config` tells it, else SLURM's own default, 1001: an array has at
/// most so many tasks, and their indices are below it. Throws SpecError where it is 0.
std::int64_t max_array_size();

/// The job scripts, for sbatch: one an array.
std::vector<std::string> slurm_scripts(const SlurmStudy& study);

/// Writes FOLDER/slurm/job.sh, or job-1.sh, job-2.sh and so on, and hands them to sbatch; then
/// report.sh, which compares once all have ended. Where tasks at a time are limited, an array waits
/// for the one before.  -> the arrays' job ids. Throws Error, naming scripts and ids, where sbatch
/// fails.
std::vector<std::string> submit(const SlurmStudy& study);

}  // namespace marginalia::app
