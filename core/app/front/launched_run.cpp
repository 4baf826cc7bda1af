#include "launched_run.h"

#include <sys/stat.h>

#include <algorithm>

#include "records/runs/run_directory.h"

namespace marginalia::app {
namespace {

/// Options that all verbs take, as words of a command line.
std::vector<std::string> to_words(const Options& options) {
  std::vector<std::string> words;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {name, value});
  };
  for (const auto& folder : options.plugins)
    add("--plugins", folder);
  add("--data", options.data);
  add("--threads", options.threads > 0 ? std::to_string(options.threads) : "");
  add("--device", options.device);
  return words;
}

fs::path folder_of(const RunArguments& run) {
  if (!run.out.empty()) return run.out;
  if (!fs::exists(run.spec)) return {};
  return RunDirectory::free_path(RunDirectory::usual_name(run.spec, fs::current_path()));
}

}  // namespace

LaunchedRun::LaunchedRun(std::vector<std::string> words, const Request& request)
    : words_(std::move(words)),
      options_(to_words(request.options)),
      resumes_(request.verb == "resume"),
      folder_(resumes_ ? fs::path(request.resume.run) : folder_of(request.run)) {
  if (!resumes_ && request.run.out.empty() && !folder_.empty())
    words_.insert(words_.begin() + 1, {"--out", folder_.string()});
  if (!resumes_) before_ = identify(folder_);
}

LaunchedRun::Identity LaunchedRun::identify(const fs::path& folder) {
  struct stat facts {};
  if (folder.empty() || stat(folder.c_str(), &facts) != 0) return {};
  return std::pair{facts.st_dev, facts.st_ino};
}

/// With --force a folder that was there is renamed before ours is made: until then it is another's.
bool LaunchedRun::is_ours() const {
  const auto now = identify(folder_);
  return now && now != before_;
}

bool LaunchedRun::can_go_on() const {
  return is_ours() && fs::exists(folder_ / "run.json");
}

void LaunchedRun::start_again() {
  if (resumes_ || !is_ours()) return;
  if (!can_go_on()) return remove_half_made();
  resumes_ = true;
  words_ = {"resume", folder_.string()};
  words_.insert(words_.end(), options_.begin(), options_.end());
}

/// A folder without a record has its lock, and folders that are empty.
void LaunchedRun::remove_half_made() const {
  std::error_code left;  // then the ranks will say that it exists
  for (const auto* name : {"lock", "checkpoints", "samples", ""})
    fs::remove(folder_ / name, left);
}

}  // namespace marginalia::app
