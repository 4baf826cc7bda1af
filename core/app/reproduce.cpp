#include <algorithm>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "cli.h"
#include "host/runs/agreement.h"
#include "launcher.h"
#include "records/study/study_directory.h"

namespace marginalia::app {
namespace {

/// A recorded run, and where it is run again.
struct Pair {
  std::string name;
  fs::path recorded, again;
  Json record;
};

/// PATH.again, or the first of PATH.again-2, ... that is free.
fs::path free_place(const fs::path& path) {
  const auto stem = (path / "").parent_path().string() + ".again";
  fs::path place = stem;
  for (int n = 2; fs::exists(place); ++n)
    place = fmt::format("{}-{}", stem, n);
  return place;
}

Pair read_pair(const std::string& name, const fs::path& recorded, const fs::path& again) {
  auto record = RunDirectory::open(recorded, false).record();
  if (record.value("status", "") != "finished")
    throw SpecError(
        fmt::format("{}: is not finished; only what ended can be reproduced", recorded.string()));
  if (const auto why = RunDirectory::altered(recorded, record); !why.empty())
    throw SpecError(fmt::format("{}: was altered: {}", recorded.string(), why));
  return {name, recorded, again, std::move(record)};
}

/// The run, or the finished runs of the study, at `path`.
std::vector<Pair> find_pairs(const fs::path& path, const fs::path& out) {
  const StudyDirectory directory(path);
  if (!directory.exists())
    return {read_pair(fs::absolute(path / "").parent_path().filename().string(), path, out)};
  const auto study = directory.study();
  std::vector<std::string> unrelated_runs;
  const auto runs = directory.find(study, unrelated_runs);
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& name = study.experiments[i].name;
    if (runs[i].state == RunState::kFinished)
      pairs.push_back(read_pair(name, runs[i].folder, out / name));
    else
      fmt::print(stderr, "{}: {}; passed over\n", name, to_string(runs[i].state));
  }
  if (pairs.empty()) throw SpecError(path.string() + ": holds no finished run");
  return pairs;
}

/// The recorded spec, seed, threads and device; FilePath parameters are looked for as they were.
Job make_job(const Pair& pair, const Session& session, const fs::path& out) {
  const auto spec = out / "specs" / (pair.name + ".json");
  write_atomically(spec, pair.record.at("spec").dump(2) + "\n");
  const auto threads =
      session.options.threads > 0 ? session.options.threads : pair.record.value("threads", 1);
  const auto device = session.options.device.empty() ? pair.record.value("device", std::string())
                                                     : session.options.device;
  std::vector<std::string> words{"run",       spec.string(),          "--out", pair.again.string(),
                                 "--threads", std::to_string(threads)};
  if (!device.empty()) words.insert(words.end(), {"--device", device});
  for (const auto& folder : session.options.plugins)
    words.insert(words.end(), {"--plugins", folder});
  if (!session.options.data.empty()) words.insert(words.end(), {"--data", session.options.data});
  return {words, out / "logs" / (pair.name + ".txt")};
}

/// Prints the numbers of one pair. -> what reproduction.json says of it.
Json compared(const Pair& pair, bool all) {
  Json numbers = Json::array();
  std::map<Agreement, int> counts;
  const auto compared = compare_runs(pair.recorded, pair.again);
  for (const auto& number : compared) {
    ++counts[number.agreement];
    const auto& [name, recorded, again, agreement] = number;
    numbers.push_back({{"name", name},
                       {"recorded", recorded},
                       {"again", again},
                       {"agreement", to_string(agreement)}});
    const bool of_step = name.find(" at step ") != std::string::npos;
    if (all || !of_step || agreement == Agreement::kDiffers || agreement == Agreement::kMissing)
      fmt::print("{}\t{}\t{}\t{}\t{}\n", pair.name, name, recorded.dump(), again.dump(),
                 to_string(agreement));
  }
  const auto changes = changed_circumstances(pair.recorded, pair.again);
  fmt::print(stderr, "{}: {} numbers: {} identical, {} within error, {} differ, {} missing\n",
             pair.name, compared.size(), counts[Agreement::kIdentical],
             counts[Agreement::kWithinError], counts[Agreement::kDiffers],
             counts[Agreement::kMissing]);
  for (const auto& change : changes)
    fmt::print(stderr, "  recorded with another {}\n", change);
  return {{"name", pair.name},
          {"recorded", pair.recorded.string()},
          {"again", pair.again.string()},
          {"agrees", counts[Agreement::kDiffers] + counts[Agreement::kMissing] == 0},
          {"circumstances", changes},
          {"numbers", numbers}};
}

}  // namespace

void reproduce(Session& session, const ReproduceArguments& a) {
  const fs::path out = a.out.empty() ? free_place(a.path) : fs::path(a.out);
  if (fs::exists(out)) throw SpecError(out.string() + ": exists already; choose another --out");
  const bool is_study = StudyDirectory(a.path).exists();
  const auto pairs = find_pairs(a.path, is_study ? out / "runs" : out / "run");
  for (const auto* folder : {"specs", "logs"})
    fs::create_directories(out / folder);
  std::vector<Job> jobs;
  for (const auto& pair : pairs)
    jobs.push_back(make_job(pair, session, out));
  std::vector<bool> ended_well(pairs.size());
  const bool all_run =
      run_jobs(jobs, a.jobs,
               {[&](std::size_t i) { fmt::print(stderr, "{}: running again\n", pairs[i].name); },
                [&](std::size_t i, const JobEnd& end) {
                  ended_well[i] = end.code == 0 && end.signal == 0;
                  if (!ended_well[i])
                    fmt::print(stderr, "FAILED {}: see {}\n", pairs[i].name, jobs[i].log.string());
                }});
  Json report = Json::array();
  bool agrees = true;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (ended_well[i]) report.push_back(compared(pairs[i], a.all));
    agrees = agrees && ended_well[i] && report.back().at("agrees").get<bool>();
  }
  write_atomically(out / "reproduction.json", report.dump(1) + "\n");
  fmt::print(stderr, "{}: {}\n", agrees ? "reproduced" : "NOT reproduced",
             (out / "reproduction.json").string());
  session.exit_code = !all_run ? 130 : agrees ? 0 : 1;
}

}  // namespace marginalia::app
