#include "slurm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "launcher.h"

namespace marginalia::app {

namespace fs = std::filesystem;

namespace {

/// A word as a shell reads it back.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word)
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string command_line(const std::vector<std::string>& arguments) {
  auto text = quoted(this_program().string());
  for (const auto& argument : arguments)
    text.append(" ").append(quoted(argument));
  return text;
}

}  // namespace

std::string slurm_script(const SlurmArray& array) {
  const auto output = (array.folder / "slurm" / "%A_%a.txt").string();
  auto text = fmt::format("#!/bin/bash\n"
                          "#SBATCH --job-name={}\n"
                          "#SBATCH --array=0-{}{}\n"
                          "#SBATCH --output={}\n"
                          "#SBATCH --open-mode=append\n"
                          "#SBATCH --signal=B:TERM@120\n",  // two minutes for a checkpoint
                          array.name, array.experiments.size() - 1,
                          array.at_once > 0 ? fmt::format("%{}", array.at_once) : "", output);
  if (array.threads > 0) text += fmt::format("#SBATCH --cpus-per-task={}\n", array.threads);
  for (const auto& option : array.options)
    text += fmt::format("#SBATCH {}\n", option);
  text += "# Written by marginalia study; a task an experiment. exec: signals reach the program.\n"
          "case $SLURM_ARRAY_TASK_ID in\n";
  for (std::size_t i = 0; i < array.calls.size(); ++i)
    text += fmt::format("{}) exec {} ;;  # {}\n", i, command_line(array.calls[i]),
                        array.experiments[i]);
  return text + "*) echo \"no task $SLURM_ARRAY_TASK_ID\" >&2; exit 2 ;;\nesac\n";
}

std::string submit(const SlurmArray& array) {
  const auto script = array.folder / "slurm" / "job.sh";
  std::error_code failed;
  fs::create_directories(script.parent_path(), failed);
  if (failed) throw cannot_write(script, failed.value());
  write_atomically(script, slurm_script(array));
  try {
    auto id = run_for_output("sbatch", {"--parsable", script.string()});
    id = id.substr(0, id.find_first_of(";\n"));  // "ID;CLUSTER"
    run_for_output("sbatch", {"--parsable", "--dependency=afterany:" + id,
                              "--job-name=" + array.name + "-report",
                              "--output=" + (array.folder / "slurm" / "report.txt").string(),
                              "--wrap", command_line(array.report_call)});
    return id;
  } catch (const Error& e) {
    throw Error(fmt::format("{}; the job script stands in {}: submit it where SLURM is", e.what(),
                            script.string()));
  }
}

}  // namespace marginalia::app
