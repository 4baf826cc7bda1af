/// \file
/// The source of a comparison's numbers: what the run of each experiment recorded.
#include <algorithm>
#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tbb/parallel_for.h>

#include <marginalia/files.h>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

namespace fs = std::filesystem;

double number(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_number() ? at->get<double>() : NAN;
}

Json costs_of(const Json& record) {
  return {{"parameters", number(record, "parameters")},
          {"steps", number(record, "steps")},
          {"seconds", number(record, "train_seconds")},
          {"energy_evaluations", number(record, "energy_evaluations")},
          {"passes", number(record, "network_passes")}};
}

/// "metric/estimator" to its figure; of lists only those that are drawn.
Json figures_in(const Json& evaluation) {
  Json all = Json::object();
  const auto metrics = evaluation.find("metrics");
  if (metrics == evaluation.end() || !metrics->is_object()) return all;
  for (const auto& [metric, by] : metrics->items()) {
    if (!by.is_object()) continue;
    for (const auto& [estimator, figure] : by.items()) {
      if (!figure.is_object() || !figure.contains("value")) continue;
      auto& kept = all[metric + "/" + estimator];
      for (const auto* key : {"value", "stderr", "unit", "status", "samples", "by_size", "bins"})
        if (figure.contains(key)) kept[key] = figure.at(key);
    }
  }
  return all;
}

/// What was measured on the way (eval/METRIC/ESTIMATOR), with what had been spent by then. Lines
/// of training log what was spent; between two of them it is taken to grow evenly by the step.
class Curves {
 public:
  void add(const Json& line) {
    const auto step = number(line, "step"), seconds = number(line, "seconds");
    if (!std::isfinite(step)) return;
    if (line.contains("train/passes"))
      spent_.push_back({step, number(line, "train/passes"),
                        line.contains("train/energy_evaluations")
                            ? number(line, "train/energy_evaluations")
                            : 0});
    for (const auto& [key, value] : line.items())
      if (key.starts_with("eval/") && value.is_number()) {
        auto& curve = curves_[key.substr(5)];
        curve["step"].push_back(step);
        curve["seconds"].push_back(seconds);
        curve["value"].push_back(value);
      }
  }
  Json take() {
    for (auto& [_, curve] : curves_.items()) {
      Json passes = Json::array(), evaluations = Json::array();
      for (const auto& step : curve.at("step")) {
        const auto spent = spent_at(step.get<double>());
        passes.push_back(spent.first);
        evaluations.push_back(spent.second);
      }
      curve["passes"] = std::move(passes);
      curve["energy_evaluations"] = std::move(evaluations);
    }
    return std::move(curves_);
  }

 private:
  struct Spent {
    double step, passes, evaluations;
  };
  std::pair<double, double> spent_at(double step) const {
    Spent before{0, 0, 0};
    for (const auto& after : spent_) {
      if (after.step >= step) {
        const auto part =
            after.step > before.step ? (step - before.step) / (after.step - before.step) : 1;
        return {before.passes + part * (after.passes - before.passes),
                before.evaluations + part * (after.evaluations - before.evaluations)};
      }
      before = after;
    }
    return {before.passes, before.evaluations};
  }
  std::vector<Spent> spent_;
  Json curves_ = Json::object();
};

Json curves_in(const fs::path& file) {
  Curves curves;
  std::ifstream in(file, std::ios::binary);
  for (std::string line; std::getline(in, line);)
    if (const auto json = Json::parse(line, nullptr, false); json.is_object()) curves.add(json);
  return curves.take();
}

Json read_one(const StudyExperiment& e, const StudyRun& run, const fs::path& root) {
  Json json{{"name", e.name},
            {"row", e.row},
            {"pair", e.pair},
            {"settings", e.settings},
            {"spec_sha256", e.hash},
            {"run", run.folder.lexically_relative(root).generic_string()},
            {"standing", name_of(run.standing)}};
  if (!run.reason.empty()) json["reason"] = run.reason;
  if (run.standing != Standing::kFinished) return json;
  for (const auto* key : {"threads", "device", "host", "version", "commit"})
    if (run.record.contains(key)) json[key] = run.record.at(key);
  const auto& training = e.spec.at("training");
  json["rows_a_step"] =
      training.at("batch_size").get<std::int64_t>() * training.at("accumulate").get<std::int64_t>();
  json["costs"] = costs_of(run.record);
  const auto evaluation = Json::parse(read_text(run.folder / "evaluation.json"), nullptr, false);
  json["figures"] = figures_in(evaluation);
  if (evaluation.is_object() && evaluation.contains("unavailable"))
    json["unavailable"] = evaluation.at("unavailable");
  json["curves"] = curves_in(run.folder / "metrics.jsonl");
  return json;
}

/// The largest share of its budget that a run used; 1 where it has none.
double used(const StudyExperiment& e, const Json& record) {
  const auto& budget = e.spec.at("training").at("budget");
  const auto seconds = number(budget, "seconds");
  const auto evaluations = number(budget, "energy_evaluations"), passes = number(budget, "passes");
  double share = seconds + evaluations + passes > 0 ? 0 : 1;
  if (seconds > 0) share = std::max(share, number(record, "train_seconds") / seconds);
  if (evaluations > 0) share = std::max(share, number(record, "energy_evaluations") / evaluations);
  if (passes > 0) share = std::max(share, number(record, "network_passes") / passes);
  return share;
}

/// "a, b, c and 4 more"
std::string some(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  if (names.size() <= kShown) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kShown, ", "),
                     names.size() - kShown);
}

void note_standing(const Study& study, const std::vector<StudyRun>& runs,
                   std::vector<std::string>& notes) {
  std::vector<std::string> absent, running;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& name = study.experiments[i].name;
    if (runs[i].standing == Standing::kAbsent) absent.push_back(name);
    if (runs[i].standing == Standing::kRunning) running.push_back(name);
    if (runs[i].standing == Standing::kUnfinished)
      notes.push_back(fmt::format("{} is not finished ({})", name, runs[i].reason));
    if (runs[i].standing == Standing::kAltered)
      notes.push_back(fmt::format("{} is left out: {}", name, runs[i].reason));
  }
  if (!absent.empty()) notes.push_back("not run: " + some(absent));
  if (!running.empty()) notes.push_back("still running: " + some(running));
}

/// Rows that stopped by themselves before what the study allows was spent.
void note_budgets(const Study& study, const std::vector<StudyRun>& runs,
                  std::vector<std::string>& notes) {
  std::map<std::string, double> least;  // by row
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].standing != Standing::kFinished) continue;
    const auto share = used(study.experiments[i], runs[i].record);
    auto [at, _] = least.emplace(study.experiments[i].row, share);
    at->second = std::min(at->second, share);
  }
  for (const auto& [row, share] : least)
    if (share < 0.99)
      notes.push_back(fmt::format("{} ended by its steps or by early stopping, at {:.2g} % of its "
                                  "budget",
                                  row, 100 * share));
}

void note_machines(const Json& experiments, std::vector<std::string>& notes) {
  for (const auto* key : {"threads", "device", "host", "version", "commit"}) {
    std::vector<std::string> values;
    for (const auto& e : experiments)
      if (const auto value = e.contains(key) ? e.at(key).dump() : ""; !value.empty())
        if (!std::ranges::count(values, value)) values.push_back(value);
    if (values.size() > 1)
      notes.push_back(
          fmt::format("runs differ in {}: {}{}", key, some(values),
                      std::string_view(key) == "version" || std::string_view(key) == "commit"
                          ? ""
                          : "; their seconds do not compare"));
  }
}

}  // namespace

Json read_experiments(const Study& study, const std::vector<StudyRun>& runs, const fs::path& root,
                      std::vector<std::string>& notes) {
  std::vector<Json> all(runs.size());
  tbb::parallel_for(std::size_t{0}, runs.size(),
                    [&](std::size_t i) { all[i] = read_one(study.experiments[i], runs[i], root); });
  Json experiments = Json::array();
  for (auto& one : all)
    experiments.push_back(std::move(one));
  note_standing(study, runs, notes);
  note_budgets(study, runs, notes);
  note_machines(experiments, notes);
  return experiments;
}

}  // namespace marginalia::comparison
