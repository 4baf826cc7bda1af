#pragma once

#include "toy.h"

#include <functional>
#include <string>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/study/read_study.h"
#include "records/comparison/comparison.h"
#include "records/runs/run_directory.h"
#include "records/study/study_directory.h"

namespace marginalia::test {

/// "metrics" of an evaluation; null for an experiment that was not run.
using Measured = std::function<Json(const StudyExperiment&)>;

/// A study of toys whose runs are written by hand: nobody trains here.
struct ByHand {
  TempDir folder;
  StudyDirectory directory{folder / "study"};
  Study study;

  /// rest: the manifest's keys beside its base; compare: sets what a manifest of toys could not
  /// name, as metrics that do not measure them.
  ByHand(const std::string& rest, const Measured& measured,
         const std::function<void(CompareParams&)>& compare = {}) {
    write_atomically(folder / "s.json", fmt::format(R"({{"marginalia_study": 1,
      "base": {{"marginalia": 1, "energy": {{"type": "toy"}}, "network": {{"type": "flat"}},
               "family": {{"type": "idle"}}, "evaluation": {{"metrics": ["one"]}}}}, {}}})",
                                                    rest));
    study = read_study(folder / "s.json", {}, toy::registry(), 1000);
    if (compare) compare(study.compare);
    directory.record(study);
    for (const auto& e : study.experiments)
      if (const auto metrics = measured(e); !metrics.is_null()) write(e, metrics);
  }

  std::filesystem::path run(const StudyExperiment& e) const {
    return directory.path() / "runs" / e.name;
  }
  Comparison compared(const char* facts) const {
    return compare(directory, MetricFacts(Json::parse(facts)));
  }

 private:
  /// Parameters: the seed and 10 times the size, so that their mean is known as well.
  void write(const StudyExperiment& e, const Json& metrics) const {
    auto made = RunDirectory::create(run(e), false);
    const auto seed = e.spec.at("seed").get<double>();
    made.set_record({{"marginalia_run", 1},
                     {"spec", e.spec},
                     {"spec_sha256", e.hash},
                     {"status", "finished"},
                     {"parameters", seed + 10 * e.spec.at("energy").at("size").get<double>()},
                     {"steps", 20},
                     {"train_seconds", 1},
                     {"energy_evaluations", 0},
                     {"network_passes", 1},
                     {"space", {{"dimension", 3}, {"levels", 2}}}});
    made.write_evaluation({{"metrics", metrics}});
    write_atomically(made.path() / "metrics.jsonl", "");
  }
};

inline const Json& row_called(const Json& comparison, const std::string& name) {
  for (const auto& row : comparison.at("table").at("rows"))
    if (row.at("row") == name) return row;
  throw Error("no row " + name);
}

inline const Json& find_cell(const Json& comparison, const std::string& row,
                             const std::string& column) {
  for (const auto& cell : row_called(comparison, row).at("cells"))
    if (cell.at("column") == column) return cell;
  throw Error("no column " + column);
}

inline Json figure_called(const Json& comparison, const std::string& id) {
  for (const auto& figure : comparison.at("figures"))
    if (figure.at("id") == id) return figure;
  return {};
}

}  // namespace marginalia::test
