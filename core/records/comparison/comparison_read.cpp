/// \file
/// The source of a comparison's numbers: what the run of each experiment recorded.
#include <algorithm>
#include <cmath>
#include <fstream>

#include <fmt/format.h>
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

std::string text(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : "";
}

Costs read_costs(const Json& record) {
  return {.parameters = number(record, "parameters"),
          .steps = number(record, "steps"),
          .seconds = number(record, "train_seconds"),
          .energy_evaluations = number(record, "energy_evaluations"),
          .passes = number(record, "network_passes")};
}

Json only(const Json& object, std::initializer_list<const char*> keys) {
  Json kept = Json::object();
  for (const auto* key : keys)
    if (object.contains(key)) kept[key] = object.at(key);
  return kept;
}

std::optional<double> number_if_any(const Json& json, const char* key) {
  const auto found = number(json, key);
  return std::isnan(found) ? std::nullopt : std::optional(found);
}

std::vector<SizeError> sizes_in(const Json& entries) {
  std::vector<SizeError> sizes;
  for (const auto& entry : entries)
    if (const auto rms = number(entry, "rms"); !std::isnan(rms))
      sizes.push_back({number(entry, "size"), rms});
  return sizes;
}

std::vector<CalibrationBin> bins_in(const Json& entries) {
  std::vector<CalibrationBin> bins;
  for (const auto& entry : entries)
    bins.push_back({number(entry, "predicted"), number(entry, "observed"), number(entry, "count")});
  return bins;
}

/// A number, or each of a list of them.
std::vector<double> numbers(const Json& json, const char* key) {
  std::vector<double> all;
  if (!json.contains(key)) return all;
  for (const auto& one : json.at(key).is_array() ? json.at(key) : Json::array({json.at(key)}))
    if (one.is_number()) all.push_back(one.get<double>());
  return all;
}

/// What the i-th of several numbers of an observable is called: by its distance, else its value.
std::string name_of_part(const std::string& name, const Json& measured, std::size_t i) {
  const auto distances = measured.value("by_distance", Json::array());
  if (i < distances.size() && distances.at(i).contains("distance"))
    return fmt::format("{}, distance {}", name, distances.at(i).at("distance").dump());
  return fmt::format("{} of value {}", name, i);
}

/// The observables whose error was measured; none of another metric. Of two numbers that are each
/// other's negative, as the magnetisations of spins are, the last says all.
std::vector<Observable> observables_in(const std::string& name, const Json& measured) {
  constexpr std::size_t kMost = 8;
  const auto model = numbers(measured, "model"), reference = numbers(measured, "reference"),
             exact = numbers(measured, "exact");
  std::vector<Observable> all;
  if (model.size() > kMost) return all;
  for (std::size_t i = 0; i < model.size(); ++i) {
    auto& one = all.emplace_back(Observable{.name = name, .model = model[i]});
    if (model.size() > 1) one.name = name_of_part(name, measured, i);
    if (reference.size() == model.size()) one.reference = reference[i];
    if (exact.size() == model.size()) one.exact = exact[i];
  }
  if (model.size() == 2 && std::abs(model[0] + model[1]) < 1e-9) {
    all.erase(all.begin());
    all.front().name = name;
  }
  return all;
}

Measurement read_measurement(const std::string& key, const Json& measured) {
  // Only those lists are read that plots draw.
  Measurement made{.key = key,
                   .value = number(measured, "value"),
                   .unit = text(measured, "unit"),
                   .status = text(measured, "status"),
                   .recorded = only(measured, {"value", "stderr", "unit", "status", "route",
                                               "samples", "by_size", "bins"})};
  made.error = number_if_any(measured, "stderr");
  made.observables = observables_in(to_words(parse_estimator(key)), measured);
  if (!made.observables.empty())
    made.recorded.update(only(measured, {"model", "reference", "exact"}));
  if (measured.contains("by_size")) made.by_size = sizes_in(measured.at("by_size"));
  if (measured.contains("bins")) made.bins = bins_in(measured.at("bins"));
  return made;
}

std::vector<Measurement> measurements_in(const Json& evaluation) {
  std::vector<Measurement> all;
  const auto metrics = evaluation.find("metrics");
  if (metrics == evaluation.end() || !metrics->is_object()) return all;
  for (const auto& [metric, by] : metrics->items()) {
    if (!by.is_object()) continue;
    for (const auto& [estimator, measured] : by.items())
      if (measured.is_object() && measured.contains("value"))
        all.push_back(read_measurement(metric + "/" + estimator, measured));
  }
  return all;
}

/// What was measured on the way (eval/METRIC/ESTIMATOR), with what had been spent by then. Lines
/// of training log what was spent; between two of them it is taken to grow evenly by the step.
class CurveReader {
 public:
  void add(const Json& line) {
    const auto step = number(line, "step"), seconds = number(line, "seconds");
    if (!std::isfinite(step)) return;
    if (line.contains("train/passes"))
      spent_.push_back({step, number(line, "train/passes"),
                        line.contains("train/energy_evaluations")
                            ? number(line, "train/energy_evaluations")
                            : 0});
    for (const auto& [key, value] : line.items()) {
      if (!key.starts_with("eval/") || !value.is_number()) continue;
      auto& curve = find_or_add(key.substr(5));
      curve.step.push_back(step);
      curve.seconds.push_back(seconds);
      curve.value.push_back(value.get<double>());
    }
  }
  std::vector<Curve> take() {
    for (auto& curve : curves_)
      for (const auto step : curve.step) {
        const auto spent = spent_at(step);
        curve.passes.push_back(spent.passes);
        curve.energy_evaluations.push_back(spent.evaluations);
      }
    return std::move(curves_);
  }

 private:
  struct Spent {
    double step, passes, evaluations;
  };
  Curve& find_or_add(const std::string& key) {
    const auto known = std::ranges::find(curves_, key, &Curve::key);
    return known != curves_.end() ? *known : curves_.emplace_back(Curve{.key = key});
  }
  Spent spent_at(double step) const {
    Spent before{0, 0, 0};
    for (const auto& after : spent_) {
      if (after.step >= step) {
        const auto part =
            after.step > before.step ? (step - before.step) / (after.step - before.step) : 1;
        return {step, before.passes + part * (after.passes - before.passes),
                before.evaluations + part * (after.evaluations - before.evaluations)};
      }
      before = after;
    }
    return before;
  }
  std::vector<Spent> spent_;
  std::vector<Curve> curves_;
};

std::vector<Curve> curves_in(const fs::path& file) {
  CurveReader curves;
  std::ifstream in(file, std::ios::binary);
  for (std::string line; std::getline(in, line);)
    if (const auto json = Json::parse(line, nullptr, false); json.is_object()) curves.add(json);
  return curves.take();
}

Experiment read_one(const StudyExperiment& e, const StudyRun& run, const fs::path& root) {
  Experiment made{.name = e.name,
                  .row = e.row,
                  .pair = e.pair,
                  .settings = e.settings,
                  .target = target(e),
                  .spec_sha256 = e.hash,
                  .run = run.folder.lexically_relative(root).generic_string(),
                  .state = run.state,
                  .reason = run.reason};
  if (!made.is_finished()) return made;
  made.circumstances = only(run.record, kCircumstances);
  const auto& training = e.spec.at("training");
  made.rows_per_step =
      training.at("batch_size").get<std::int64_t>() * training.at("accumulate").get<std::int64_t>();
  made.costs = read_costs(run.record);
  const auto evaluation = Json::parse(read_text(run.folder / "evaluation.json"), nullptr, false);
  made.measurements = measurements_in(evaluation);
  if (evaluation.is_object() && evaluation.contains("unavailable"))
    for (const auto& [metric, why] : evaluation.at("unavailable").items())
      made.unavailable.push_back({metric, why.get<std::string>()});
  made.curves = curves_in(run.folder / "metrics.jsonl");
  return made;
}

}  // namespace

std::vector<Experiment> read_experiments(const Study& study, const std::vector<StudyRun>& runs,
                                         const fs::path& root) {
  std::vector<Experiment> all(runs.size());
  tbb::parallel_for(std::size_t{0}, runs.size(),
                    [&](std::size_t i) { all[i] = read_one(study.experiments[i], runs[i], root); });
  return all;
}

}  // namespace marginalia::comparison
