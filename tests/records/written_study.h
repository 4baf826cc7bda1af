#pragma once

#include "mean.h"
#include "toy.h"

#include <cmath>
#include <functional>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/study/read_study.h"
#include "records/comparison/comparison.h"
#include "records/runs/run_directory.h"
#include "records/study/study_directory.h"

namespace marginalia::test {

namespace fs = std::filesystem;

/// What metrics declare of the measurements in these studies.
inline MetricFacts facts() {
  return MetricFacts(Json::parse(R"({
      "nll": [{"estimator": "ensemble", "better": "lower", "column": "shared"},
              {"estimator": "*", "label": "negative log-likelihood", "better": "lower",
               "column": "shared"}],
      "ess": [{"estimator": "*", "better": "higher"}],
      "calibration": [{"estimator": "*", "better": "lower", "plot": "reliability"}],
      "marginal_error": [{"estimator": "*", "better": "lower", "plot": "pairs"}],
      "marginal_seconds": [{"estimator": "*", "better": "lower", "plot": "time"}]})"));
}

/// A study of four variants and four seeds whose runs are written by hand: nobody trains here.
struct Written {
  test::TempDir folder;
  StudyDirectory directory{folder / "study"};
  Study study;

  explicit Written(const std::function<void(CompareParams&)>& change = [](CompareParams&) {}) {
    write_atomically(folder / "s.json", R"({"marginalia_study": 1, "note": "fake",
      "base": {"marginalia": 1, "energy": {"type": "toy"}, "network": {"type": "flat"},
               "family": {"type": "idle"}, "evaluation": {"metrics": ["one"]}},
      "variants": {"low": {}, "mid": {"network.width": 2}, "high": {"network.width": 3},
                   "still": {"network.width": 4}},
      "seeds": 4, "budget": {"seconds": 100}})");
    study = read_study(folder / "s.json", {}, test::toy::registry(), 1000);
    change(study.compare);
    directory.record(study);
    for (std::size_t i = 0; i < study.experiments.size(); ++i)
      if (study.experiments[i].name != "mid-seed3") write(i);
  }

  /// Different enough between variants to be told apart, and noisy between seeds.
  static double loss(std::size_t variant, std::size_t seed) {
    constexpr double kNoise[] = {0.011, -0.007, 0.004, -0.013};
    if (variant == 3) return 3;  // the same whatever the seed
    return 1 + double(variant) + kNoise[seed] * (1 + 0.7 * double(variant * seed));
  }

  void write(std::size_t i) const {
    const auto& e = study.experiments[i];
    const auto variant = i / 4, seed = i % 4;
    auto run = RunDirectory::create(directory.path() / "runs" / e.name, false);
    const auto value = loss(variant, seed);
    const double seconds = variant == 3 ? 1 : 100 + double(seed);
    run.set_record({{"marginalia_run", 1},
                    {"spec", e.spec},
                    {"spec_sha256", e.hash},
                    {"status", "finished"},
                    {"parameters", 100 * (variant + 1)},
                    {"steps", 20},
                    {"train_seconds", seconds},
                    {"energy_evaluations", 0},
                    {"network_passes", 5000},
                    {"threads", 2},
                    {"host", "h"},
                    {"space", {{"dimension", 3}, {"levels", 2}}}});
    Json bins = Json::array();
    bins.push_back({{"predicted", 0.25}, {"observed", 0.2}, {"count", 10 * (seed + 1)}});
    Json sizes = Json::array();
    for (const auto size : {1, 2})
      sizes.push_back({{"size", size}, {"rms", value * size}});
    run.write_evaluation(
        {{"metrics",
          {{"nll",
            {{"one_pass", {{"value", value - 0.1}, {"unit", "nats"}, {"status", "estimate"}}},
             {"ensemble",
              {{"value", value}, {"stderr", 0.5}, {"unit", "nats"}, {"status", "upper"}}}}},
           {"ess", {{"importance", {{"value", 1 / value}, {"unit", "fraction"}}}}},
           {"marginal_error", {{"one_pass", {{"value", value}, {"by_size", sizes}}}}},
           {"calibration", {{"one_pass", {{"value", 0.01}, {"bins", bins}}}}}}},
         {"unavailable", {{"kl_reverse", "no oracle"}}}});
    std::string lines;
    for (const auto step : {10, 20})
      lines += fmt::format("{{\"step\": {0}, \"seconds\": {1}, \"train/passes\": {2}}}\n"
                           "{{\"step\": {0}, \"seconds\": {1}, \"eval/nll/masked\": {3}}}\n",
                           step, seconds * step / 20, 250 * step, value + 20.0 / step);
    write_atomically(run.path() / "metrics.jsonl", lines);
    fs::create_directories(run.path() / "samples");
    write_atomically(run.path() / "samples" / "samples.jsonl",
                     R"({"x": [0, 1, 0], "text": "</s>"})");
  }
};

/// Values of a row in a column, by pair: from "experiments" alone.
inline std::map<std::string, double> read_values(const Json& comparison, const std::string& row,
                                                 const std::string& column) {
  std::map<std::string, double> values;
  for (const auto& e : comparison.at("experiments")) {
    if (e.at("row") != row || !e.contains("figures")) continue;
    const auto pair = e.at("pair").dump();
    if (e.at("costs").contains(column))
      values[pair] = e.at("costs").at(column).get<double>();
    else if (column == "nll")
      values[pair] = e.at("figures").at("nll/ensemble").at("value").get<double>();
    else if (e.at("figures").contains(column))
      values[pair] = e.at("figures").at(column).at("value").get<double>();
    else
      for (const auto& [key, figure] : e.at("figures").items())
        if (key.starts_with(column + "/")) values[pair] = figure.at("value").get<double>();
  }
  return values;
}

inline double error(const std::vector<double>& values) {
  double sum = 0;
  for (const auto value : values)
    sum += std::pow(value - mean(values), 2);
  return std::sqrt(sum / double(values.size() * (values.size() - 1)));
}

inline std::vector<double> list_values(const std::map<std::string, double>& by_pair) {
  std::vector<double> values;
  for (const auto& [_, value] : by_pair)
    values.push_back(value);
  return values;
}

inline std::vector<double> differences(const Json& comparison, const std::string& a,
                                       const std::string& b, const std::string& column) {
  const auto left = read_values(comparison, a, column), right = read_values(comparison, b, column);
  std::vector<double> all;
  for (const auto& [pair, value] : left)
    if (right.contains(pair)) all.push_back(value - right.at(pair));
  return all;
}

inline auto near(double value) {
  return doctest::Approx(value).epsilon(1e-9);
}

}  // namespace marginalia::test
