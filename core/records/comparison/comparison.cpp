#include "comparison.h"

#include <chrono>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/files.h>

#include "comparison_parts.h"
#include "records/study/baselines.h"
#include "sdk/base/text.h"

namespace marginalia {

namespace fs = std::filesystem;

/// The metrics that were asked of any experiment.
static std::vector<std::string> metrics_in(const std::vector<comparison::Experiment>& experiments) {
  std::set<std::string> metrics;
  for (const auto& e : experiments) {
    for (const auto& measurement : e.measurements)
      metrics.insert(comparison::parse_metric(measurement.key));
    for (const auto& curve : e.curves)
      metrics.insert(comparison::parse_metric(curve.key));
    for (const auto& [metric, _] : e.unavailable)
      metrics.insert(metric);
  }
  return {metrics.begin(), metrics.end()};
}

/// Each plot has a file of its own, whatever its title's signs and blanks came to.
static void make_ids_unique(std::vector<comparison::Plot>& plots) {
  std::set<std::string> taken;
  for (auto& plot : plots) {
    const auto stem = plot.id;
    for (int n = 2; !taken.insert(plot.id).second; ++n)
      plot.id = fmt::format("{}-{}", stem, n);
  }
}

Comparison compare(const StudyDirectory& directory, const MetricFacts& facts) {
  const auto study = directory.study();
  const auto rows = study.row_names();
  const auto& asked = study.compare;
  comparison::Request request{asked, rows, {}, facts};
  for (const auto& row : rows)
    request.baselines.push_back(baselines(study).at(row).row);
  Comparison made{.study = study.name,
                  .note = study.manifest.value("note", ""),
                  .written = utc_text(std::chrono::system_clock::now()),
                  .budget = study.manifest.value("budget", Json()),
                  .columns = request.columns(),
                  .against = asked.against,
                  .baseline = baseline_in_words(study),
                  .alpha = asked.alpha,
                  .test = "Student's t of paired differences within a target, two-sided",
                  .correction = "Holm, over the tests of a " + asked.correct_within,
                  .samples = asked.samples};
  const auto runs = directory.find(study, made.notes);
  made.experiments = comparison::read_experiments(study, runs, directory.path());
  comparison::add_notes(made.notes, study, made.experiments);
  made.plots = comparison::make_plots(made.experiments, request);
  made.scaling = comparison::fit_scaling(made.experiments, asked.scaling, made.plots);
  make_ids_unique(made.plots);
  made.table = comparison::make_table(made.experiments, request);
  made.facts = facts.of(metrics_in(made.experiments));
  return made;
}

/// The facts of the comparison that was written before; none where there was none.
static MetricFacts kept_facts(const fs::path& file) {
  if (!fs::exists(file)) return {};
  const auto kept = Json::parse(read_text(file), nullptr, false);
  return MetricFacts(kept.is_object() ? kept.value("facts", Json::object()) : Json::object());
}

Comparison write_comparison(const StudyDirectory& directory, const MetricFacts& facts) {
  const auto& folder = directory.path();
  auto comparison = compare(directory, facts.with(kept_facts(folder / "comparison.json")));
  write_atomically(folder / "comparison.json", to_json(comparison).dump(1) + "\n");
  write_atomically(folder / "comparison.md", markdown_table(comparison));
  write_atomically(folder / "comparison.tex", latex_table(comparison));
  write_atomically(folder / "comparison.csv", csv_table(comparison));
  fs::create_directories(folder / "figures");
  for (const auto& plot : comparison.plots)
    write_atomically(folder / "figures" / (plot.id + ".svg"), svg_plot(plot));
  comparison::write_study_report(folder, comparison);
  return comparison;
}

}  // namespace marginalia
