#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>

#include <marginalia/comparison.h>
#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/precision.h>
#include <marginalia/study.h>
#include <marginalia/study_directory.h>

#include "cli.h"
#include "launcher.h"
#include "slurm.h"

namespace marginalia::app {
namespace {

constexpr std::int64_t kUnasked = 1000;  // experiments that are run without --yes

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

/// The last thing that a failed run said, from its log: what follows "marginalia: ".
std::string last_words(const fs::path& log) {
  std::ifstream in(log, std::ios::binary);
  std::string cause;
  bool told = false;
  for (std::string line; std::getline(in, line);) {
    constexpr std::string_view kName = "marginalia: ";
    const bool warning = line.starts_with("marginalia: warning");
    if (line.starts_with(kName) && !warning) {
      cause = line.substr(kName.size());
      told = true;
    } else if (told && line.starts_with("  ")) {
      cause += "\n" + line;
    } else {
      told = false;
    }
  }
  return cause.empty() ? fmt::format("see {}", log.string()) : cause;
}

std::string text_of_end(const JobEnd& end, const fs::path& log) {
  if (!end.not_started.empty()) return "could not be started: " + end.not_started;
  if (end.signal != 0)
    return fmt::format("killed by signal {} ({}){}", end.signal, strsignal(end.signal),
                       end.signal == SIGKILL ? "; was memory short?" : "");
  return fmt::format("exit status {}: {}", end.code, last_words(log));
}

bool is_chosen(const StudyExperiment& e, const std::vector<std::string>& only) {
  return only.empty() || std::ranges::any_of(only, [&](const std::string& pattern) {
           return pattern == e.variant || fnmatch(pattern.c_str(), e.name.c_str(), 0) == 0;
         });
}

/// Refuses a pattern of --only that names nothing.
void check_only(const Study& study, const std::vector<std::string>& only) {
  std::vector<std::string> names;
  for (const auto& e : study.experiments)
    names.push_back(e.name);
  for (const auto& pattern : only)
    if (std::ranges::none_of(study.experiments,
                             [&](const auto& e) { return is_chosen(e, {pattern}); }))
      throw SpecError("--only: " + unknown_name("experiment or variant", pattern, names));
}

/// A study being run: what there is to do, and what came of it.
class Runner {
 public:
  Runner(Session& session, const StudyArguments& arguments)
      : session_(session),
        a_(arguments),
        directory_(a_.out.empty() ? fs::path("runs") / fs::path(a_.file).stem() : fs::path(a_.out)),
        study_(read_study(a_.file, session.data(), session.registry(),
                          a_.yes || a_.dry_run ? INT64_MAX : kUnasked,
                          [this](const auto& devices) { return precision_on(devices); })) {
    check_only(study_, a_.only);
    runs_ = directory_.find(study_, strangers_);
    for (std::size_t i = 0; i < runs_.size(); ++i)
      if (is_chosen(study_.experiments[i], a_.only)) sort(i);
  }

  void run() {
    for (const auto& stranger : strangers_)
      fmt::print(stderr, "marginalia: warning: {}\n", stranger);
    if (a_.dry_run) return show_plan();
    directory_.record(study_);
    announce();
    for (const auto i : pending_)
      write_spec(i);
    if (a_.launcher == "slurm") return submit_all();
    const bool all = pending_.empty() || run_all();
    if (!a_.runs_only) finish();
    if (!all)
      session_.exit_code = 130;
    else if (failed_ > 0 || altered_ + busy_ > 0)
      session_.exit_code = 1;
  }

 private:
  /// What "auto" comes to: what the study was begun with, what is asked for, or what all devices
  /// have.
  std::string precision_on(const std::set<std::string>& devices) const {
    const auto held = directory_.precision(), asked = a_.precision == "auto" ? "" : a_.precision;
    if (!held.empty() && !asked.empty() && held != asked)
      throw SpecError(fmt::format("{}: was begun in {}, and holds it; leave --precision out, or "
                                  "choose another --out",
                                  directory_.path().string(), held));
    if (!held.empty()) return held;
    if (!asked.empty()) return asked;
    if (a_.launcher == "slurm") {
      fmt::print(stderr, "precision: float32, which every node has; --precision names another\n");
      return "float32";
    }
    const auto& own = session_.options.device;
    for (const auto& name : own.empty() ? devices : std::set<std::string>{own})
      if (const auto precision = automatic_precision(device_named(name, a_.file));
          precision != "bfloat16")
        return precision;
    return "bfloat16";
  }

  void sort(std::size_t i) {
    const auto standing = runs_[i].standing;
    if (standing == Standing::kAbsent || standing == Standing::kUnfinished) pending_.push_back(i);
    if (standing == Standing::kFinished) ++finished_;
    if (standing == Standing::kAltered) ++altered_;
    if (standing == Standing::kRunning) ++busy_;
  }

  const std::string& name(std::size_t i) const { return study_.experiments[i].name; }

  /// "run", "resume", ...
  std::string plan_of(std::size_t i) const {
    const auto& run = runs_[i];
    switch (run.standing) {
      case Standing::kAbsent:
        return "run";
      case Standing::kUnfinished:
        return fmt::format("resume ({})", run.reason);
      case Standing::kRunning:
        return "leave: another process is running it";
      case Standing::kFinished:
        return "skip: finished";
      case Standing::kAltered:
        return fmt::format("leave: {}", run.reason);
    }
    return "";
  }

  void show_plan() const {
    std::size_t width = 0;
    for (const auto& e : study_.experiments)
      width = std::max(width, e.name.size());
    for (std::size_t i = 0; i < runs_.size(); ++i)
      if (is_chosen(study_.experiments[i], a_.only))
        fmt::print("{:<{}}  {}  {}\n", name(i), width, study_.experiments[i].hash.substr(0, 12),
                   plan_of(i));
    fmt::print(stderr, "{} experiments: {} to run or resume, {} finished; nothing was written\n",
               study_.experiments.size(), pending_.size(), finished_);
    if (a_.launcher == "slurm" && !pending_.empty()) std::cout << slurm_script(array());
  }

  void announce() const {
    fmt::print(stderr, "{} -> {}  ({} experiments: {} to run or resume, {} finished)\n", a_.file,
               directory_.path().string(), study_.experiments.size(), pending_.size(), finished_);
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (!is_chosen(study_.experiments[i], a_.only)) continue;
      if (runs_[i].standing == Standing::kAltered)
        fmt::print(stderr,
                   "LEFT ALONE {}: {}\n  {}: marginalia evaluate measures it again; moved away, it "
                   "is run again\n",
                   name(i), runs_[i].reason, runs_[i].folder.string());
      if (runs_[i].standing == Standing::kRunning)
        fmt::print(stderr, "LEFT ALONE {}: another process is running it\n", name(i));
    }
  }

  fs::path spec_file(std::size_t i) const {
    return directory_.path() / "specs" / (name(i) + ".json");
  }
  fs::path log_file(std::size_t i) const { return directory_.path() / "logs" / (name(i) + ".txt"); }

  void write_spec(std::size_t i) const {
    write_atomically(spec_file(i), study_.experiments[i].spec.dump(2) + "\n");
  }

  /// Resumed runs keep the threads they were begun with: the same numbers need them.
  std::vector<std::string> call(std::size_t i, int threads) const {
    const auto& run = runs_[i];
    std::vector<std::string> words;
    if (run.standing == Standing::kUnfinished) {
      words = {"resume", run.folder.string(), "--precision",
               study_.experiments[i].spec.at("training").at("precision").get<std::string>()};
    } else {
      words = {"run",       spec_file(i).string(),  "--out", run.folder.string(),
               "--threads", std::to_string(threads)};
      if (run.in_the_way) words.push_back("--force");
    }
    const auto options = shared_options(session_);
    words.insert(words.end(), options.begin(), options.end());
    return words;
  }

  bool run_all() {
    const auto at_once = std::min<std::size_t>(std::size_t(a_.jobs), pending_.size());
    const auto threads = std::max(1, session_.threads() / int(at_once));
    std::vector<Job> jobs;
    for (const auto i : pending_)
      jobs.push_back({call(i, threads), log_file(i)});
    const JobHooks hooks{
        [&](std::size_t job) {
          const auto i = pending_[job];
          ++begun_;
          fmt::print(stderr, "[{}/{}] {}: {}, {} thread{}\n", begun_, pending_.size(), name(i),
                     runs_[i].standing == Standing::kAbsent ? "started" : "resumed", threads,
                     threads == 1 ? "" : "s");
        },
        [&](std::size_t job, const JobEnd& end) { tell(pending_[job], end); }};
    return run_jobs(jobs, int(at_once), hooks);
  }

  void tell(std::size_t i, const JobEnd& end) {
    if (end.code == 0 && end.signal == 0) {
      ++finished_;
      fmt::print(stderr, "{}: finished in {:.1f} s ({} finished, {} failed)\n", name(i),
                 end.seconds, finished_, failed_);
    } else if (end.code == 130 || end.signal == SIGTERM || end.signal == SIGINT) {
      fmt::print(stderr, "{}: interrupted; the same command goes on with it\n", name(i));
    } else {
      ++failed_;
      fmt::print(stderr, "FAILED {} after {:.1f} s: {}\n", name(i), end.seconds,
                 text_of_end(end, log_file(i)));
    }
  }

  void finish() {
    const auto comparison = write_comparison(directory_);
    std::cout << markdown_table(comparison);
    fmt::print(stderr, "report: {}\n", (directory_.path() / "report.html").string());
  }

  SlurmArray array() const {
    SlurmArray array;
    array.name = study_.name;
    std::ranges::replace_if(
        array.name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
    array.folder = fs::absolute(directory_.path());
    array.at_once = a_.jobs > 1 ? a_.jobs : 0;
    array.threads = session_.options.threads;
    array.options = a_.slurm;
    const auto options = shared_options(session_);
    for (const auto i : pending_) {
      array.experiments.push_back(name(i));
      std::vector<std::string> words{"study",  fs::absolute(a_.file).string(),
                                     "--out",  array.folder.string(),
                                     "--only", name(i),
                                     "--yes",  "--runs-only"};
      if (array.threads > 0)
        words.insert(words.end(), {"--threads", std::to_string(array.threads)});
      words.insert(words.end(), options.begin(), options.end());
      array.calls.push_back(std::move(words));
    }
    array.report_call = {"report", array.folder.string()};
    return array;
  }

  void submit_all() const {
    if (pending_.empty()) {
      fmt::print(stderr, "nothing to submit\n");
      return;
    }
    const auto id = submit(array());
    fmt::print(stderr,
               "submitted as job {}: {} tasks; the comparison follows when they have ended\n", id,
               pending_.size());
    std::cout << id << "\n";
  }

  Session& session_;
  const StudyArguments& a_;
  StudyDirectory directory_;
  Study study_;
  std::vector<std::string> strangers_;
  std::vector<StudyRun> runs_;
  std::vector<std::size_t> pending_;
  std::size_t begun_ = 0, finished_ = 0, failed_ = 0, altered_ = 0, busy_ = 0;
};

}  // namespace

void study(Session& session, const StudyArguments& a) {
  Runner(session, a).run();
}

}  // namespace marginalia::app
