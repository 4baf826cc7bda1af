// The figure of errors against the time of a question, from runs written by hand.
#include "written_study.h"

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/study/read_study.h"
#include "records/comparison/comparison.h"
#include "records/runs/run_directory.h"
#include "records/study/study_directory.h"

using namespace marginalia;

TEST_CASE("errors are drawn against microseconds, a point an estimator of a row") {
  const test::TempDir folder;
  const StudyDirectory directory(folder / "study");
  write_atomically(folder / "s.json", R"({"marginalia_study": 1,
      "base": {"marginalia": 1, "energy": {"type": "toy"}, "network": {"type": "flat"},
               "family": {"type": "idle"}, "evaluation": {"metrics": ["one"]}},
      "variants": {"low": {}, "high": {"energy.size": 5}}, "seeds": 2})");
  const auto study = read_study(folder / "s.json", {}, test::toy::registry(), 1000);
  directory.record(study);
  for (std::size_t i = 0; i < study.experiments.size(); ++i) {
    const auto& e = study.experiments[i];
    auto run = RunDirectory::create(directory.path() / "runs" / e.name, false);
    run.set_record({{"marginalia_run", 1},
                    {"spec", e.spec},
                    {"spec_sha256", e.hash},
                    {"status", "finished"},
                    {"parameters", 1},
                    {"steps", 20},
                    {"train_seconds", 1},
                    {"energy_evaluations", 0},
                    {"network_passes", 1},
                    {"space", {{"dimension", 3}, {"levels", 2}}}});
    const auto slower = e.row == "high" ? 10.0 : 1.0;
    run.write_evaluation(
        {{"metrics",
          {{"marginal_error",
            {{"one_pass", {{"value", 0.1 * double(1 + i % 2)}}},
             {"exact", {{"value", 0.0}}},
             {"untimed", {{"value", 0.5}}}}},
           {"marginal_seconds",
            {{"one_pass", {{"value", 2e-4 * slower}}}, {"exact", {{"value", 1e-2 * slower}}}}}}}});
    write_atomically(run.path() / "metrics.jsonl", "");
  }
  const auto comparison = to_json(compare(directory, test::facts()));
  Json found;
  for (const auto& figure : comparison.at("figures"))
    if (figure.at("id") == "error-against-time") found = figure;
  REQUIRE(found.is_object());
  CHECK(found.at("x").at("log") == true);
  REQUIRE(found.at("series").size() == 4);
  for (const auto& one : found.at("series")) {
    const auto label = one.at("label").get<std::string>();
    const bool exact = label.find("exact") != label.npos, high = label.starts_with("high");
    CAPTURE(label);
    CHECK(one.at("x")[0].get<double>() == doctest::Approx((exact ? 1e4 : 200) * (high ? 10 : 1)));
    CHECK(one.at("y")[0].get<double>() == doctest::Approx(exact ? 1e-6 : 0.15));
    CHECK(one.at("n")[0] == 2);
  }
}
