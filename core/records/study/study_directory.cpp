#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tbb/parallel_for.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "records/runs/run_directory.h"
#include "sdk/base/json_fault.h"
#include "study_directory.h"

namespace marginalia {

namespace fs = std::filesystem;

namespace {

/// A folder below runs/ that holds a run.json, or what is wrong with it.
struct Found {
  fs::path folder;
  Json record;
  std::string hash, status, fault;
};

Found read(const fs::path& folder) {
  Found found{folder, {}, "", "", ""};
  try {
    found.record = Json::parse(read_text(folder / "run.json"), nullptr, false);
    if (!found.record.is_object() || !found.record.contains("spec") ||
        !found.record.at("spec").is_object())
      found.fault = "run.json is not a record of a run";
    if (!found.fault.empty()) return found;
    found.hash = found.record.value("spec_sha256", spec_hash(found.record.at("spec")));
    found.status = found.record.value("status", "");
  } catch (const std::exception& e) {
    found.fault = without_json_names(e.what());
  }
  return found;
}

std::vector<Found> runs_below(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(folder, absent))
    if (fs::exists(entry.path() / "run.json")) folders.push_back(entry.path());
  std::ranges::sort(folders);
  std::vector<Found> all(folders.size());
  tbb::parallel_for(std::size_t{0}, folders.size(),
                    [&](std::size_t i) { all[i] = read(folders[i]); });
  return all;
}

/// "energy/side is 4, not 6": at most three places where `is` departs from `should`.
std::string differences(const Json& is, const Json& should) {
  std::vector<std::string> texts;
  auto sorted = [](const Json& json) { return nlohmann::json::parse(json.dump()); };
  for (const auto& step : nlohmann::json::diff(sorted(should), sorted(is))) {
    const auto at = step.at("path").get<std::string>();
    if (at == "/note") continue;
    const auto place = Json::json_pointer(at);
    const auto text = [&](const Json& of) {
      return of.contains(place) ? of.at(place).dump() : std::string("absent");
    };
    if (texts.size() == 3) {
      texts.push_back("...");
      break;
    }
    texts.push_back(fmt::format("{} is {}, not {}", at.substr(1), text(is), text(should)));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// Whether `a` is the better of two runs of one experiment: a finished run before a stopped one.
bool better(const Found& a, const Found& b) {
  return a.status == "finished" && b.status != "finished";
}

StudyRun judged(const Found& found, const StudyExperiment& experiment) try {
  StudyRun run{RunState::kUnfinished, found.folder, false, "", found.record};
  const auto& status = found.status;
  if (RunDirectory::in_use(found.folder)) {
    run.state = RunState::kRunning;
  } else if (const auto why = RunDirectory::altered(found.folder, found.record); !why.empty()) {
    run.state = RunState::kAltered;
    run.reason = why;
    if (const auto where = differences(found.record.at("spec"), experiment.spec); !where.empty())
      run.reason += ": " + where;
  } else if (status == "finished") {
    run.state = RunState::kFinished;
  } else if (status == "failed") {
    run.reason = "failed: " + found.record.value("error", "no cause recorded");
  } else {
    run.reason =
        status == "running" ? "no end was recorded: killed, or the machine stopped" : status;
  }
  return run;
} catch (const std::exception& e) {
  return {RunState::kAltered, found.folder, false, without_json_names(e.what()), found.record};
}

/// runs/NAME, or the first of runs/NAME-2, ... that no run has.
StudyRun place_for(const fs::path& runs, const std::string& name, std::set<fs::path>& taken) {
  StudyRun run;
  run.folder = runs / name;
  for (int n = 2; fs::exists(run.folder / "run.json") || taken.contains(run.folder); ++n)
    run.folder = runs / fmt::format("{}-{}", name, n);
  run.path_taken = fs::exists(run.folder);
  taken.insert(run.folder);
  return run;
}

}  // namespace

std::string_view to_string(RunState state) {
  switch (state) {
    case RunState::kAbsent:
      return "absent";
    case RunState::kUnfinished:
      return "unfinished";
    case RunState::kRunning:
      return "running";
    case RunState::kFinished:
      return "finished";
    case RunState::kAltered:
      return "altered";
  }
  return "";
}

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
  return cause;
}

bool StudyDirectory::exists() const {
  const auto file = path_ / "study.json";  // a manifest may be called so, too
  if (!fs::is_regular_file(file)) return false;
  const auto json = Json::parse(read_text(file), nullptr, false);
  return json.is_object() && json.contains("marginalia_study_record");
}

void StudyDirectory::record(const Study& study) const {
  if (!exists() && fs::exists(path_) && !fs::is_empty(path_))
    throw SpecError(
        fmt::format("{}: is not empty and holds no study; choose another --out", path_.string()));
  std::error_code failed;
  for (const auto* folder : {"runs", "specs", "logs"})
    if (fs::create_directories(path_ / folder, failed); failed)
      throw Error(
          fmt::format("{}: cannot be made: {}", (path_ / folder).string(), failed.message()));
  write_atomically(path_ / "study.json", to_json(study).dump(1) + "\n");
}

std::string StudyDirectory::precision() const {
  return exists() ? study().precision : "";
}

Study StudyDirectory::study() const {
  const auto file = path_ / "study.json";
  if (!exists())
    throw SpecError(
        fmt::format("{}: is not a study: it has no study.json that \"marginalia study\" "
                    "wrote",
                    path_.string()));
  return study_from_json(read_json(file), file.string());
}

std::vector<Json> StudyDirectory::run_records() const {
  std::vector<Json> records;
  for (auto& run : runs_below(path_ / "runs"))
    if (run.fault.empty()) records.push_back(std::move(run.record));
  return records;
}

std::vector<StudyRun> StudyDirectory::find(const Study& study,
                                           std::vector<std::string>& unrelated_runs) const {
  std::map<std::string, const Found*> by_hash;
  const auto found = runs_below(path_ / "runs");
  std::vector<const Found*> left;
  std::map<std::string, std::string> wanted;  // the hash in a record -> the experiment's
  for (const auto& e : study.experiments) {
    wanted[e.hash] = e.hash;
    for (const auto& older : e.older_hashes)
      wanted[older] = e.hash;
  }
  for (const auto& run : found) {
    if (!run.fault.empty() || !wanted.contains(run.hash)) {
      left.push_back(&run);
      continue;
    }
    auto& best = by_hash[wanted.at(run.hash)];
    if (best) left.push_back(better(run, *best) ? best : &run);
    if (!best || better(run, *best)) best = &run;
  }
  std::vector<StudyRun> runs;
  std::set<fs::path> taken;
  for (const auto& e : study.experiments) {
    const auto at = by_hash.find(e.hash);
    runs.push_back(at == by_hash.end() ? place_for(path_ / "runs", e.name, taken)
                                       : judged(*at->second, e));
    if (at != by_hash.end()) continue;
    const auto said = last_words(path_ / "logs" / (e.name + ".txt"));  // before it had a folder
    if (!said.empty()) runs.back().reason = "failed: " + said;
  }
  for (const auto* run : left) {
    auto why =
        run->fault.empty() ? std::string("belongs to no experiment of this study") : run->fault;
    for (const auto& e : study.experiments)
      if (run->fault.empty() && run->folder.filename() == e.name)
        why += fmt::format(" ({})", differences(run->record.at("spec"), e.spec));
    if (wanted.contains(run->hash)) why = "is a second run of an experiment; the other is used";
    unrelated_runs.push_back(fmt::format("{}: {}; left alone", run->folder.string(), why));
  }
  return runs;
}

}  // namespace marginalia
