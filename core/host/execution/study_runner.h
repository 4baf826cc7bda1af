#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "environment.h"
#include "records/comparison/comparison.h"
#include "records/study/study.h"
#include "records/study/study_directory.h"

namespace marginalia {

struct StudyRequest {
  std::filesystem::path manifest;
  std::filesystem::path folder;
  std::string precision = "auto";      ///< what "auto" comes to in training
  std::vector<std::string> only = {};  ///< experiments, by name, variant or pattern; empty: all
  int at_once = 1;                     ///< experiments at a time; each has its share of the threads
  std::int64_t most = 1000;            ///< experiments allowed
  bool elsewhere = false;              ///< runs on machines not known here: "auto" is float32
  bool compare = true;                 ///< once all have ended
};

/// One experiment that is to be run or resumed.
struct StudyJob {
  std::string name;
  std::filesystem::path spec;    ///< the resolved spec
  std::filesystem::path folder;  ///< of the run
  std::filesystem::path log;     ///< what it prints
  bool resume = false;
  bool force = false;     ///< remains of a start are in the way
  std::string precision;  ///< of training: a resumed run goes on in the study's
  int threads = 1;
};

/// How one ended.
struct StudyJobEnd {
  enum class How { kFinished, kInterrupted, kFailed } how = How::kFinished;
  double seconds = 0;
  std::string why;  ///< of kFailed
};

struct StudyJobHooks {
  std::function<void(std::size_t job)> started;
  std::function<void(std::size_t job, const StudyJobEnd&)> ended;
};

/// Runs jobs in their order, at most `at_once` at a time: in processes, on a cluster, here.
/// -> whether all were begun; not where it was interrupted.
using StudyLauncher =
    std::function<bool(const std::vector<StudyJob>&, int at_once, const StudyJobHooks&)>;

/// Runs them in this process, each at_once-th of them on a thread of its own. Hooks::stop ends the
/// runs that go on with a checkpoint, and begins no other; Hooks::progress is called by each run,
/// on its thread, the other hooks are not.
StudyLauncher in_this_process(Environment environment, Hooks hooks = {});

struct StudyResult {
  std::size_t finished = 0;  ///< experiments measured, before and now
  std::size_t failed = 0, altered = 0, busy = 0;
  bool complete = true;                  ///< whether nothing interrupted it
  std::optional<Comparison> comparison;  ///< none where it was left out
};

/// A study, as it stands and being run.
class StudyRunner {
 public:
  /// Reads the manifest and finds what has been run. Throws SpecError; writes nothing.
  StudyRunner(StudyRequest request, Environment environment, Hooks hooks = {});

  const Study& study() const { return study_; }
  const StudyDirectory& directory() const { return directory_; }

  struct Plan {
    std::string name, hash, what;  ///< what: "run", "resume (interrupted)", "skip: finished"
  };
  std::vector<Plan> plan() const;  ///< of the experiments chosen

  /// What is to be run; `threads` of each.
  std::vector<StudyJob> jobs(int threads) const;
  std::size_t pending() const { return pending_.size(); }
  std::size_t finished() const { return result_.finished; }

  /// Writes study.json and the specs of what is to be run.
  void record() const;
  /// Records it, runs what is to be run, and compares.
  StudyResult run(const StudyLauncher& launcher);

 private:
  std::string precision_on(const std::set<std::string>& devices) const;
  void sort(std::size_t i);
  std::string describe_plan(std::size_t i) const;
  void announce() const;
  void tell(const StudyJob& job, const StudyJobEnd& end);
  void say(const std::string& text) const;

  StudyRequest request_;
  Environment environment_;
  Hooks hooks_;
  StudyDirectory directory_;
  Study study_;
  std::vector<std::string> unrelated_;
  std::vector<StudyRun> runs_;
  std::vector<std::size_t> pending_;
  StudyResult result_;
};

}  // namespace marginalia
