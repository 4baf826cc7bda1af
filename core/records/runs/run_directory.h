#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include <marginalia/spec.h>

namespace marginalia {

/// SHA-256 of what a resolved spec asks for: all of it but the note, keys sorted. 64 digits.
std::string spec_hash(const Json& resolved);

/// The folder that an experiment writes: run.json, metrics.jsonl, checkpoints/, samples/,
/// evaluation.json, report.html, log.txt and TensorBoard events; dataset.json of datasets that
/// describe themselves.
class RunDirectory {
 public:
  /// Makes it and locks it. An existing one is refused; with `force` it is renamed to PATH.old (or
  /// .old-2, ...), never deleted.
  static RunDirectory create(const std::filesystem::path& path, bool force);
  /// Opens a finished or stopped run; `lock` to write in it, without what a process that was killed
  /// had half written.
  static RunDirectory open(const std::filesystem::path& path, bool lock);
  /// What the run of FOLDER/STEM.json is called: STEM, or FOLDER-STEM where a folder beside FOLDER
  /// has a STEM.json as well. STEM from within FOLDER itself, where `here` is the working
  /// directory: runs/ is the folder's own then.
  static std::string usual_name(const std::filesystem::path& spec,
                                const std::filesystem::path& here);
  /// runs/NAME, or the first of runs/NAME-2, runs/NAME-3, ... that is free.
  static std::filesystem::path free_path(const std::string& name);

  RunDirectory(RunDirectory&&) noexcept;
  ~RunDirectory();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

  Json record() const;  ///< run.json
  void set_record(const Json& record);
  void update(const Json& fields);          ///< merges into run.json, atomically
  void log(const std::string& line) const;  ///< one line into log.txt, with the time
  /// Writes evaluation.json, and its sum into run.json.
  void write_evaluation(const Json& evaluation);

  /// dataset.json: what the dataset says of itself when training begins.
  void write_description(const Json& description);
  Json description() const;  ///< null where there is none

  /// Whether a process holds the lock of the run at `path`.
  static bool in_use(const std::filesystem::path& path);
  /// What was changed by hand in a finished run, by the sums that run.json holds; "" for nothing.
  /// record: its run.json.
  static std::string altered(const std::filesystem::path& path, const Json& record);

  /// Spec of the run as it was resolved, for building it again.
  Spec spec(const std::filesystem::path& data) const;

 private:
  explicit RunDirectory(std::filesystem::path path);
  void lock();
  std::filesystem::path path_;
  int lock_ = -1;
};

/// metrics.jsonl, the truth, and the same scalars for TensorBoard.
class MetricsLog {
 public:
  /// Goes on after `last_step`: later lines, and a torn last one, are dropped.
  MetricsLog(const std::filesystem::path& run, std::int64_t last_step);
  ~MetricsLog();
  void add(std::int64_t step, double seconds, const std::map<std::string, double>& values);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace marginalia
