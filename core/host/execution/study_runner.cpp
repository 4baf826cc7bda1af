#include <fnmatch.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/precision.h>

#include "host/describe/measurements.h"
#include "host/study/older_runs.h"
#include "host/study/read_study.h"
#include "records/comparison/comparison.h"
#include "run.h"
#include "sdk/base/clock.h"
#include "study_runner.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;

bool is_chosen(const StudyExperiment& e, const std::vector<std::string>& only) {
  return only.empty() || std::ranges::any_of(only, [&](const std::string& pattern) {
           return pattern == e.variant || fnmatch(pattern.c_str(), e.name.c_str(), 0) == 0;
         });
}

/// Refuses a pattern of `only` that names nothing.
void check_only(const Study& study, const std::vector<std::string>& only) {
  std::vector<std::string> names;
  for (const auto& e : study.experiments)
    names.push_back(e.name);
  for (const auto& pattern : only)
    if (std::ranges::none_of(study.experiments,
                             [&](const auto& e) { return is_chosen(e, {pattern}); }))
      throw SpecError("--only: " + unknown_name("experiment or variant", pattern, names));
}

/// Runs one job in this process.
StudyJobEnd run_here(const StudyJob& job, const Environment& shared, const Hooks& hooks) {
  const auto start = Clock::now();
  auto environment = shared;
  environment.threads = job.threads;
  const Hooks its_own{.stop = hooks.stop, .progress = hooks.progress};
  using How = StudyJobEnd::How;
  try {
    const auto result =
        job.resume ? resume({job.folder, job.precision}, environment, its_own)
                   : run({Spec::from_file(job.spec, environment.data), job.folder, job.force},
                         environment, its_own);
    const bool finished = result.outcome == Outcome::kFinished;
    return {finished ? How::kFinished : How::kInterrupted, seconds_since(start), ""};
  } catch (const std::exception& e) {
    return {How::kFailed, seconds_since(start), describe_error(e)};
  }
}

}  // namespace

StudyLauncher in_this_process(Environment environment, Hooks hooks) {
  return [environment = std::move(environment), hooks = std::move(hooks)](
             const std::vector<StudyJob>& jobs, int at_once, const StudyJobHooks& told) {
    std::atomic<std::size_t> next{0};
    std::mutex telling;
    const auto stopped = [&] { return hooks.stop && hooks.stop->load(); };
    const auto work = [&] {
      while (!stopped()) {
        const auto job = next++;
        if (job >= jobs.size()) return;
        {
          const std::lock_guard lock(telling);
          told.started(job);
        }
        const auto end = run_here(jobs[job], environment, hooks);
        const std::lock_guard lock(telling);
        told.ended(job, end);
      }
    };
    {
      std::vector<std::jthread> others;
      for (int i = 1; i < at_once; ++i)
        others.emplace_back(work);
      work();
    }
    return !stopped();
  };
}

StudyRunner::StudyRunner(StudyRequest request, Environment environment, Hooks hooks)
    : request_(std::move(request)),
      environment_(std::move(environment)),
      hooks_(std::move(hooks)),
      directory_(request_.folder),
      study_(read_study(request_.manifest, environment_.data, environment_.registry, request_.most,
                        [this](const auto& devices) { return precision_on(devices); })) {
  check_only(study_, request_.only);
  recognise_older_runs(study_, directory_.run_records(), environment_.registry);
  runs_ = directory_.find(study_, unrelated_);
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (is_chosen(study_.experiments[i], request_.only)) sort(i);
  if (hooks_.warn)
    for (const auto& run : unrelated_)
      hooks_.warn(run);
}

void StudyRunner::say(const std::string& text) const {
  if (hooks_.say) hooks_.say(text);
}

/// What "auto" comes to: what the study was begun with, what is asked for, or what all devices
/// have.
std::string StudyRunner::precision_on(const std::set<std::string>& devices) const {
  const auto held = directory_.precision();
  const auto asked = request_.precision == "auto" ? "" : request_.precision;
  if (!held.empty() && !asked.empty() && held != asked)
    throw SpecError(fmt::format("{}: was begun in {}, and holds it; leave --precision out, or "
                                "choose another --out",
                                directory_.path().string(), held));
  if (!held.empty()) return held;
  if (!asked.empty()) return asked;
  if (request_.elsewhere) {
    say("precision: float32, which every node has; --precision names another");
    return "float32";
  }
  const auto& own = environment_.device;
  for (const auto& name : own.empty() ? devices : std::set<std::string>{own})
    if (const auto precision = automatic_precision(device_named(name, request_.manifest.string()));
        precision != "bfloat16")
      return precision;
  return "bfloat16";
}

void StudyRunner::sort(std::size_t i) {
  const auto state = runs_[i].state;
  if (state == RunState::kAbsent || state == RunState::kUnfinished) pending_.push_back(i);
  if (state == RunState::kFinished) ++result_.finished;
  if (state == RunState::kAltered) ++result_.altered;
  if (state == RunState::kRunning) ++result_.busy;
}

std::string StudyRunner::describe_plan(std::size_t i) const {
  const auto& run = runs_[i];
  switch (run.state) {
    case RunState::kAbsent:
      return run.reason.empty() ? "run" : fmt::format("run ({})", run.reason);
    case RunState::kUnfinished:
      return fmt::format("resume ({})", run.reason);
    case RunState::kRunning:
      return "leave: another process is running it";
    case RunState::kFinished:
      return "skip: finished";
    case RunState::kAltered:
      return fmt::format("leave: {}", run.reason);
  }
  return "";
}

std::vector<StudyRunner::Plan> StudyRunner::plan() const {
  std::vector<Plan> all;
  for (std::size_t i = 0; i < runs_.size(); ++i)
    if (const auto& e = study_.experiments[i]; is_chosen(e, request_.only))
      all.push_back({e.name, e.hash, describe_plan(i)});
  return all;
}

std::vector<StudyJob> StudyRunner::jobs(int threads) const {
  std::vector<StudyJob> all;
  for (const auto i : pending_) {
    const auto& e = study_.experiments[i];
    all.push_back({.name = e.name,
                   .spec = directory_.path() / "specs" / (e.name + ".json"),
                   .folder = runs_[i].folder,
                   .log = directory_.path() / "logs" / (e.name + ".txt"),
                   .resume = runs_[i].state == RunState::kUnfinished,
                   .force = runs_[i].path_taken,
                   .precision = e.spec.at("training").at("precision"),
                   .threads = threads});
  }
  return all;
}

void StudyRunner::announce() const {
  say(fmt::format("{} -> {}  ({} experiments: {} to run or resume, {} finished)",
                  request_.manifest.string(), directory_.path().string(), study_.experiments.size(),
                  pending_.size(), result_.finished));
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    const auto& e = study_.experiments[i];
    if (!is_chosen(e, request_.only)) continue;
    const auto folder = runs_[i].folder.string();
    if (runs_[i].state == RunState::kAltered)
      say(fmt::format("LEFT ALONE {}: {}\n  {}: marginalia evaluate measures it again; moved away, "
                      "it is run again",
                      e.name, runs_[i].reason, folder));
    if (runs_[i].state == RunState::kRunning)
      say(fmt::format("LEFT ALONE {}: another process is running it", e.name));
  }
}

void StudyRunner::record() const {
  directory_.record(study_);
  announce();
  for (const auto i : pending_) {
    const auto& e = study_.experiments[i];
    write_atomically(directory_.path() / "specs" / (e.name + ".json"), e.spec.dump(2) + "\n");
  }
}

StudyResult StudyRunner::run(const StudyLauncher& launcher) {
  record();
  if (!pending_.empty()) {
    const auto at_once = std::min<std::size_t>(std::size_t(request_.at_once), pending_.size());
    const auto all = environment_.threads > 0 ? environment_.threads : usable_processors();
    const auto threads = std::max(1, all / int(at_once));
    const auto work = jobs(threads);
    std::size_t begun = 0;
    const StudyJobHooks told{
        [&](std::size_t job) {
          say(fmt::format("[{}/{}] {}: {}, {} thread{}", ++begun, work.size(), work[job].name,
                          work[job].resume ? "resumed" : "started", threads,
                          threads == 1 ? "" : "s"));
        },
        [&](std::size_t job, const StudyJobEnd& end) { tell(work[job], end); }};
    result_.complete = launcher(work, int(at_once), told);
  }
  if (request_.compare)
    result_.comparison =
        write_comparison(directory_, MetricFacts(collect_measurement_facts(environment_.registry)));
  return result_;
}

void StudyRunner::tell(const StudyJob& job, const StudyJobEnd& end) {
  switch (end.how) {
    case StudyJobEnd::How::kFinished:
      ++result_.finished;
      say(fmt::format("{}: finished in {:.1f} s ({} finished, {} failed)", job.name, end.seconds,
                      result_.finished, result_.failed));
      break;
    case StudyJobEnd::How::kInterrupted:
      say(fmt::format("{}: interrupted; the same command goes on with it", job.name));
      break;
    case StudyJobEnd::How::kFailed:
      ++result_.failed;
      say(fmt::format("FAILED {} after {:.1f} s: {}", job.name, end.seconds, end.why));
  }
}

}  // namespace marginalia
