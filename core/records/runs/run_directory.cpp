#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "records/formats/events.h"
#include "run_directory.h"
#include "sdk/base/json_fault.h"
#include "sdk/base/text.h"

namespace marginalia {

namespace fs = std::filesystem;

std::string spec_hash(const Json& resolved) {
  auto sorted = nlohmann::json::parse(resolved.dump());  // its objects are sorted by key
  sorted.erase("note");
  return sha256_hex(sorted.dump());
}

/// PATH, or the first of PATH<separator>2, PATH<separator>3, ... that does not exist.
static fs::path first_free(const fs::path& path, const std::string& suffix) {
  auto candidate = fs::path(path.string() + suffix);
  for (int n = 2; fs::exists(fs::symlink_status(candidate)); ++n)
    candidate = fmt::format("{}{}-{}", path.string(), suffix, n);
  return candidate;
}

/// Whether a folder beside `folder` has a file of that name.
static bool has_namesake(const fs::path& folder, const fs::path& name) {
  std::error_code none;  // of folders that may not be read
  for (const auto& sibling : fs::directory_iterator(folder.parent_path(), none))
    if (fs::is_regular_file(sibling.path() / name, none) &&
        !fs::equivalent(sibling.path(), folder, none))
      return true;
  return false;
}

std::string RunDirectory::usual_name(const fs::path& spec, const fs::path& here) {
  const auto folder = fs::canonical(fs::absolute(spec).parent_path());
  const auto stem = spec.stem().string();
  if (fs::equivalent(folder, here) || !has_namesake(folder, spec.filename())) return stem;
  return folder.filename().string() + "-" + stem;
}

fs::path RunDirectory::free_path(const std::string& name) {
  return first_free(fs::path("runs") / name, "");
}

RunDirectory::RunDirectory(fs::path path) : path_(std::move(path)) {}
RunDirectory::RunDirectory(RunDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}
RunDirectory::~RunDirectory() {
  if (lock_ >= 0) close(lock_);
}

void RunDirectory::lock() {
  const auto file = path_ / "lock";
  lock_ = ::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (lock_ < 0)
    throw Error(fmt::format("{}: cannot be locked: {}", path_.string(), std::strerror(errno)));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0)
    throw SpecError(fmt::format("{}: another process is running this; wait for it, or give --out",
                                path_.string()));
}

RunDirectory RunDirectory::create(const fs::path& path, bool force) {
  if (fs::exists(path)) {
    if (!force)
      throw SpecError(fmt::format("{}: exists already; choose another --out, go on with marginalia "
                                  "resume, or give --force to set it aside",
                                  path.string()));
    RunDirectory old = fs::exists(path / "run.json") ? open(path, true) : RunDirectory(path);
    fs::rename(path, first_free(path, ".old"));
  }
  std::error_code failed;
  for (const auto& folder : {path, path / "checkpoints", path / "samples"})
    if (fs::create_directories(folder, failed); failed)
      throw Error(fmt::format("{}: cannot be made: {}", folder.string(), failed.message()));
  RunDirectory run(path);
  run.lock();
  return run;
}

/// The process in "run.json.tmp-PROCESS-N", what a file is called until it is whole; 0: another
/// name.
static pid_t find_writer(const fs::path& file) {
  const auto name = file.filename().string();
  const auto at = name.rfind(".tmp-");
  int process = 0, n = 0, length = 0;
  if (at == std::string::npos) return 0;
  std::sscanf(name.c_str() + at, ".tmp-%d-%d%n", &process, &n, &length);
  return at + std::size_t(length) == name.size() ? process : 0;
}

/// Of a process of this machine, which may be another user's.
static bool is_gone(pid_t process) {
  return kill(process, 0) != 0 && errno == ESRCH;
}

/// Removes what processes that were killed had half written.
static void remove_half_written(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code none;  // of folders that may not be read
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const auto writer = find_writer(entry.path());
    if (writer > 0 && (writer == getpid() || is_gone(writer))) found.push_back(entry.path());
  }
  for (const auto& file : found)
    fs::remove(file, none);
}

RunDirectory RunDirectory::open(const fs::path& path, bool lock) {
  if (!fs::exists(path / "run.json"))
    throw SpecError(fmt::format("{}: is not a run directory: it has no run.json", path.string()));
  RunDirectory run(path);
  if (!lock) return run;
  run.lock();
  for (const auto& folder : {path, path / "checkpoints", path / "samples"})
    remove_half_written(folder);
  return run;
}

Json RunDirectory::record() const {
  return read_json(path_ / "run.json");
}

void RunDirectory::set_record(const Json& record) {
  write_atomically(path_ / "run.json", record.dump(2) + "\n");
}

void RunDirectory::update(const Json& fields) {
  auto all = record();
  all.update(fields);
  set_record(all);
}

void RunDirectory::write_evaluation(const Json& evaluation) {
  const auto text = evaluation.dump(2) + "\n";
  write_atomically(path_ / "evaluation.json", text);
  update({{"evaluation_sha256", sha256_hex(text)}});
}

void RunDirectory::write_description(const Json& description) {
  write_atomically(path_ / "dataset.json", description.dump(1) + "\n");
}

Json RunDirectory::description() const {
  const auto file = path_ / "dataset.json";
  return fs::exists(file) ? parse_json(read_text(file)) : Json();
}

bool RunDirectory::in_use(const fs::path& path) {
  const int file = ::open((path / "lock").c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  const bool locked = flock(file, LOCK_EX | LOCK_NB) != 0;
  close(file);
  return locked;
}

std::string RunDirectory::altered(const fs::path& path, const Json& record) {
  if (const auto hash = record.value("spec_sha256", ""); !hash.empty())
    if (hash != spec_hash(record.at("spec")))
      return "the spec in run.json is not the one it was run from";
  if (record.value("status", "") != "finished") return "";
  const auto file = path / "evaluation.json";
  if (!fs::exists(file)) return "evaluation.json is gone";
  const auto sum = record.value("evaluation_sha256", "");
  return sum.empty() || sum == sha256_hex(read_text(file))
             ? ""
             : "evaluation.json is not the one that was measured";
}

void RunDirectory::log(const std::string& line) const {
  std::ofstream out(path_ / "log.txt", std::ios::app);
  out << utc_text(std::chrono::system_clock::now()) << " " << line << "\n";
}

Spec RunDirectory::spec(const fs::path& data) const {
  return Spec::from_text(record().at("spec").dump(), (path_ / "run.json").string(),
                         {fs::absolute(path_), data, default_cache_directory()});
}

struct MetricsLog::State {
  fs::path file;
  std::ofstream out;
  EventFile events;
};

/// Rewrites `file` with its whole lines of steps up to `last_step`.
static void drop_after(const fs::path& file, std::int64_t last_step) {
  if (!fs::exists(file)) return;
  std::stringstream lines(read_text(file));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const auto json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", std::int64_t{-1}) <= last_step) kept += line + "\n";
  }
  write_atomically(file, kept);
}

MetricsLog::MetricsLog(const fs::path& run, std::int64_t last_step) {
  const auto file = run / "metrics.jsonl";
  drop_after(file, last_step);
  state_.reset(new State{file, std::ofstream(file, std::ios::app), EventFile(run, last_step)});
  if (!state_->out) throw Error(fmt::format("{}: cannot be written", file.string()));
}

MetricsLog::~MetricsLog() = default;

void MetricsLog::add(std::int64_t step, double seconds,
                     const std::map<std::string, double>& values) {
  Json line{{"step", step}, {"seconds", std::round(seconds * 1000) / 1000}};
  for (const auto& [name, value] : values) {
    line[name] = value;
    if (std::isfinite(value)) state_->events.scalar(step, name, value);
  }
  state_->out << line.dump() << std::endl;
  if (!state_->out)
    throw Error(fmt::format("{}: cannot be written: {}; free some space, then marginalia resume",
                            state_->file.string(), std::strerror(errno)));
  state_->events.flush();
}

}  // namespace marginalia
