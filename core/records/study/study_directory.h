#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "study.h"

namespace marginalia {

/// Where an experiment of a study stands.
enum class RunState {
  kAbsent,      ///< never begun
  kUnfinished,  ///< begun, and stopped: by a signal, by a failure, by a power cut
  kRunning,     ///< a process has its lock
  kFinished,    ///< measured; nothing to do
  kAltered,     ///< changed by hand: not to be trusted, and left alone
};
std::string_view to_string(RunState state);

/// An experiment's run, as it was found.
struct StudyRun {
  RunState state = RunState::kAbsent;
  std::filesystem::path folder;  ///< of the run; where it would be, if absent
  bool path_taken = false;       ///< absent, but `folder` holds the remains of a start
  std::string reason;            ///< unless it goes well: "failed: ...", in words
  Json record;                   ///< run.json; null where there is none
};

/// The last thing that a failed run said, from its log: what follows "marginalia: "; "" where that
/// is nothing.
std::string last_words(const std::filesystem::path& log);

/// The folder that a study writes:
///
///   study.json        manifest, precision, experiments, their resolved specs and hashes
///   runs/NAME/        a run directory for each
///   specs/NAME.json   what each was run from
///   logs/NAME.txt     what it printed
///   comparison.json   what report.html and comparison.{md,csv,tex} are made of
class StudyDirectory {
 public:
  explicit StudyDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  bool exists() const;

  /// Writes study.json. A folder that holds something else is refused.
  void record(const Study& study) const;
  /// What "auto" came to when the study was begun; "" where none was.
  std::string precision() const;
  /// What study.json holds; throws SpecError where there is none.
  Study study() const;

  /// run.json of all runs in its folder that can be read.
  std::vector<Json> run_records() const;

  /// The run of each experiment, recognised by the hash of its resolved spec, whatever its folder
  /// is called. Run folders that belong to no experiment are named in `unrelated_runs`.
  std::vector<StudyRun> find(const Study& study, std::vector<std::string>& unrelated_runs) const;

 private:
  std::filesystem::path path_;
};

}  // namespace marginalia
