#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace marginalia::app {

/// A study as a SLURM array: a task an experiment, each a call of this program.
struct SlurmArray {
  std::string name;                             ///< of the study
  std::filesystem::path folder;                 ///< of the study
  std::vector<std::string> experiments;         ///< those still to do
  std::vector<std::vector<std::string>> calls;  ///< [experiments]: this program's arguments
  std::vector<std::string> report_call;         ///< what is called once, when all have ended
  int at_once = 0;                              ///< tasks at a time; 0: as many as SLURM lets
  int threads = 0;                              ///< cores of a task; 0: as SLURM gives
  std::vector<std::string> options;             ///< for sbatch: "--time=02:00:00"
};

/// The job script, for sbatch.
std::string slurm_script(const SlurmArray& array);

/// Writes FOLDER/slurm/job.sh and hands it to sbatch, then a job that compares once the array has
/// ended.  -> the array's job id. Throws Error, naming the script, where there is no sbatch.
std::string submit(const SlurmArray& array);

}  // namespace marginalia::app
