#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstring>
#include <iostream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "cli.h"
#include "host/execution/study_runner.h"
#include "launcher.h"
#include "records/comparison/comparison.h"
#include "records/study/study_directory.h"
#include "slurm.h"

namespace marginalia::app {
namespace {

constexpr std::int64_t kConfirmAbove = 1000;  // experiments that are run without --yes

/// Options of this call that its children share.
std::vector<std::string> shared_options(const Session& session) {
  std::vector<std::string> words;
  const auto& options = session.options;
  for (const auto& folder : options.plugins)
    words.insert(words.end(), {"--plugins", fs::absolute(folder).string()});
  if (!options.data.empty())
    words.insert(words.end(), {"--data", fs::absolute(options.data).string()});
  if (!options.device.empty()) words.insert(words.end(), {"--device", options.device});
  return words;
}

std::string text_of_end(const JobEnd& end, const fs::path& log) {
  if (!end.not_started.empty()) return "could not be started: " + end.not_started;
  if (end.signal != 0)
    return fmt::format("killed by signal {} ({}){}", end.signal, strsignal(end.signal),
                       end.signal == SIGKILL ? "; was memory short?" : "");
  const auto said = last_words(log);
  return fmt::format("exit status {}: {}", end.code, said.empty() ? "see " + log.string() : said);
}

/// This program, called for one experiment.
std::vector<std::string> call(const StudyJob& job, const Session& session) {
  std::vector<std::string> words;
  if (job.resume)
    // Resumed runs keep the threads they were begun with: the same numbers need them.
    words = {"resume", job.folder.string(), "--precision", job.precision};
  else
    words = {"run",       job.spec.string(),          "--out", job.folder.string(),
             "--threads", std::to_string(job.threads)};
  if (!job.resume && job.force) words.push_back("--force");
  const auto options = shared_options(session);
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

StudyJobEnd to_job_end(const JobEnd& end, const fs::path& log) {
  using How = StudyJobEnd::How;
  if (end.code == 0 && end.signal == 0) return {How::kFinished, end.seconds, ""};
  if (end.code == 130 || end.signal == SIGTERM || end.signal == SIGINT)
    return {How::kInterrupted, end.seconds, ""};
  return {How::kFailed, end.seconds, text_of_end(end, log)};
}

/// Each experiment in a process of its own.
StudyLauncher in_processes(const Session& session) {
  return [&session](const std::vector<StudyJob>& jobs, int at_once, const StudyJobHooks& told) {
    std::vector<Job> calls;
    for (const auto& job : jobs)
      calls.push_back({call(job, session), job.log});
    return run_jobs(calls, at_once, {told.started, [&](std::size_t job, const JobEnd& end) {
                                       told.ended(job, to_job_end(end, jobs[job].log));
                                     }});
  };
}

/// The experiments still to do, for SLURM.
SlurmStudy list_tasks(const StudyRunner& runner, const Session& session, const StudyArguments& a) {
  SlurmStudy tasks;
  tasks.name = runner.study().name;
  std::ranges::replace_if(
      tasks.name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  tasks.folder = fs::absolute(runner.directory().path());
  tasks.most_tasks = max_array_size();
  tasks.at_once = a.jobs;
  tasks.threads = session.options.threads;
  tasks.options = a.slurm;
  const auto options = shared_options(session);
  for (const auto& job : runner.jobs(1)) {
    tasks.experiments.push_back(job.name);
    std::vector<std::string> words{"study",  fs::absolute(a.file).string(),
                                   "--out",  tasks.folder.string(),
                                   "--only", job.name,
                                   "--yes",  "--runs-only"};
    if (tasks.threads > 0) words.insert(words.end(), {"--threads", std::to_string(tasks.threads)});
    words.insert(words.end(), options.begin(), options.end());
    tasks.calls.push_back(std::move(words));
  }
  tasks.report_call = {"report", tasks.folder.string()};
  tasks.report_call.insert(tasks.report_call.end(), options.begin(), options.end());
  return tasks;
}

void show_plan(const StudyRunner& runner, const Session& session, const StudyArguments& a) {
  std::size_t width = 0;
  for (const auto& e : runner.study().experiments)
    width = std::max(width, e.name.size());
  for (const auto& [name, hash, what] : runner.plan())
    fmt::print("{:<{}}  {}  {}\n", name, width, hash.substr(0, 12), what);
  fmt::print(stderr, "{} experiments: {} to run or resume, {} finished; nothing was written\n",
             runner.study().experiments.size(), runner.pending(), runner.finished());
  if (a.launcher == "slurm" && runner.pending() > 0)
    for (const auto& script : slurm_scripts(list_tasks(runner, session, a)))
      std::cout << script;
}

void submit_all(const StudyRunner& runner, const Session& session, const StudyArguments& a) {
  const auto tasks = list_tasks(runner, session, a);
  runner.record();
  if (runner.pending() == 0) {
    fmt::print(stderr, "nothing to submit\n");
    return;
  }
  const auto ids = submit(tasks);
  fmt::print(stderr,
             "submitted as job{} {}: {} tasks; the comparison follows when they have ended\n",
             ids.size() == 1 ? "" : "s", fmt::join(ids, ", "), runner.pending());
  fmt::print("{}\n", fmt::join(ids, "\n"));
}

/// Characters of a line: those of the window, where stdout is one.
std::size_t terminal_width() {
  constexpr std::size_t kUsual = 100;
  winsize window{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0) return kUsual;
  return window.ws_col > 0 ? window.ws_col : kUsual;
}

}  // namespace

void study(Session& session, const StudyArguments& a) {
  const auto environment = session.environment();
  const auto hooks = session.hooks();
  StudyRunner runner(
      {.manifest = a.file,
       .folder = a.out.empty() ? fs::path("runs") / fs::path(a.file).stem() : fs::path(a.out),
       .precision = a.precision,
       .only = a.only,
       .at_once = std::max(1, a.jobs),
       .most = a.yes || a.dry_run ? INT64_MAX : kConfirmAbove,
       .elsewhere = a.launcher == "slurm",
       .compare = !a.runs_only},
      environment, hooks);
  if (a.dry_run) return show_plan(runner, session, a);
  if (a.launcher == "slurm") return submit_all(runner, session, a);
  const auto result = runner.run(in_processes(session));
  if (result.comparison) {
    std::cout << terminal_tables(*result.comparison, terminal_width()) << std::flush;
    fmt::print(stderr, "report: {}\n", (runner.directory().path() / "report.html").string());
  }
  if (!result.complete)
    session.exit_code = 130;
  else if (result.failed + result.altered + result.busy > 0)
    session.exit_code = 1;
}

}  // namespace marginalia::app
