#include "slurm.h"

#include <algorithm>
#include <sstream>

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

/// A file's name as sbatch reads it back of a script's line.
/// pattern: may have "%A", the job's id, and the like, which `folder` has not.
std::string output_file(const fs::path& folder, const std::string& pattern) {
  std::string text = "\"";
  for (const char c : folder.string()) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
    if (c == '%') text += '%';
  }
  return text + "/" + pattern + "\"";
}

std::string command_line(const std::vector<std::string>& arguments) {
  auto text = quoted(this_program().string());
  for (const auto& argument : arguments)
    text.append(" ").append(quoted(argument));
  return text;
}

/// What a script begins with, behind its name.
std::string write_options(const SlurmStudy& study, const std::string& output) {
  auto text = fmt::format("#SBATCH --output={}\n", output_file(study.folder / "slurm", output));
  for (const auto& option : study.options)
    text += fmt::format("#SBATCH {}\n", option);
  return text;
}

/// The script of the array of experiments `begin` to `end`, which are its tasks from 0.
std::string write_script(const SlurmStudy& study, std::size_t begin, std::size_t end) {
  auto text = fmt::format("#!/bin/bash\n"
                          "#SBATCH --job-name={}\n"
                          "#SBATCH --array=0-{}{}\n"
                          "#SBATCH --open-mode=append\n"
                          "#SBATCH --signal=B:TERM@120\n",  // two minutes for a checkpoint
                          study.name, end - begin - 1,
                          study.at_once > 0 ? fmt::format("%{}", study.at_once) : "");
  if (study.threads > 0) text += fmt::format("#SBATCH --cpus-per-task={}\n", study.threads);
  text += write_options(study, "%A_%a.txt");
  text += "# Written by marginalia study; a task an experiment. exec: signals reach the program.\n"
          "case $SLURM_ARRAY_TASK_ID in\n";
  for (auto i = begin; i < end; ++i)
    text += fmt::format("{}) exec {} ;;  # {}\n", i - begin, command_line(study.calls[i]),
                        study.experiments[i]);
  return text + "*) echo \"no task $SLURM_ARRAY_TASK_ID\" >&2; exit 2 ;;\nesac\n";
}

/// The script of the job that compares once all have ended.
std::string write_report_script(const SlurmStudy& study) {
  return fmt::format("#!/bin/bash\n#SBATCH --job-name={}-report\n{}exec {}\n", study.name,
                     write_options(study, "report.txt"), command_line(study.report_call));
}

/// Writes the scripts.  -> the arrays' files.
std::vector<fs::path> write_scripts(const SlurmStudy& study) {
  const auto folder = study.folder / "slurm";
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw cannot_write(folder, failed.value());
  const auto scripts = slurm_scripts(study);
  std::vector<fs::path> files;
  for (const auto& script : scripts) {
    files.push_back(folder / (scripts.size() == 1 ? std::string("job.sh")
                                                  : fmt::format("job-{}.sh", files.size() + 1)));
    write_atomically(files.back(), script);
  }
  write_atomically(folder / "report.sh", write_report_script(study));
  return files;
}

/// Hands a script to sbatch, to begin once the jobs `after` have ended, or at once.  -> its job id.
std::string submit_script(const fs::path& script, const std::vector<std::string>& after) {
  std::vector<std::string> words{"--parsable"};
  if (!after.empty())
    words.push_back(fmt::format("--dependency=afterany:{}", fmt::join(after, ":")));
  words.push_back(script.string());
  const auto id = run_for_output("sbatch", words);
  return id.substr(0, id.find_first_of(";\n"));  // "ID;CLUSTER"
}

/// What is left to do by hand where sbatch fails.
std::string unsubmitted(const std::string& why, const std::vector<fs::path>& scripts,
                        const std::vector<std::string>& ids) {
  const auto left = scripts.size() - ids.size();
  auto text = why;
  if (left > 0)
    text += fmt::format("; the job script{} in {}{}: submit {} where SLURM is",
                        left == 1 ? " stands" : "s stand", scripts[ids.size()].string(),
                        left == 1 ? "" : " to " + scripts.back().filename().string(),
                        left == 1 ? "it" : "them");
  if (!ids.empty()) text += fmt::format("; submitted already: {}", fmt::join(ids, ", "));
  return text;
}

}  // namespace

std::int64_t max_array_size() {
  constexpr std::int64_t kDefault = 1001;
  std::string config;
  try {
    config = run_for_output("scontrol", {"show", "config"});
  } catch (const Error&) {  // no such program, or no controller that answers
    return kDefault;
  }
  std::istringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key, equals;
    std::int64_t size = 0;
    if (!(words >> key >> equals >> size) || key != "MaxArraySize") continue;
    if (size > 0) return size;
    throw SpecError("--launcher slurm: SLURM takes no arrays here, its MaxArraySize is 0 (scontrol "
                    "show config); take --launcher local");
  }
  return kDefault;
}

std::vector<std::string> slurm_scripts(const SlurmStudy& study) {
  const auto most = std::size_t(study.most_tasks), all = study.calls.size();
  std::vector<std::string> scripts;
  for (std::size_t begin = 0; begin < all; begin += most)
    scripts.push_back(write_script(study, begin, std::min(all, begin + most)));
  return scripts;
}

std::vector<std::string> submit(const SlurmStudy& study) {
  const auto scripts = write_scripts(study);
  std::vector<std::string> ids;
  try {
    for (const auto& script : scripts) {
      std::vector<std::string> before;
      if (study.at_once > 0 && !ids.empty()) before.push_back(ids.back());
      ids.push_back(submit_script(script, before));
    }
    submit_script(study.folder / "slurm" / "report.sh", ids);
    return ids;
  } catch (const Error& e) {
    throw Error(unsubmitted(e.what(), scripts, ids));
  }
}

}  // namespace marginalia::app
