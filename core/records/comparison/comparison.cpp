#include "comparison.h"

#include <chrono>

#include <nlohmann/json.hpp>

#include <marginalia/files.h>

#include "comparison_parts.h"
#include "sdk/base/text.h"

namespace marginalia {

namespace fs = std::filesystem;

Comparison compare(const StudyDirectory& directory) {
  const auto study = directory.study();
  const auto rows = study.row_names();
  const auto& asked = study.compare;
  Comparison made{
      .study = study.name,
      .note = study.manifest.value("note", ""),
      .written = utc_text(std::chrono::system_clock::now()),
      .budget = study.manifest.value("budget", Json()),
      .baseline = asked.baseline.empty() && !rows.empty() ? rows.front() : asked.baseline,
      .alpha = asked.alpha,
      .test = "Student's t of paired differences, two-sided",
      .correction = "Holm, over the tests of a " + asked.correct_within,
      .samples = asked.samples};
  const auto runs = directory.find(study, made.notes);
  made.experiments = comparison::read_experiments(study, runs, directory.path());
  comparison::add_notes(made.notes, study, made.experiments);
  made.figures = comparison::figures_of(made.experiments, rows, asked.columns);
  made.scaling = comparison::scaling_of(made.experiments, asked.scaling, made.figures);
  made.table = comparison::table_of(made.experiments, asked, rows);
  return made;
}

Comparison write_comparison(const StudyDirectory& directory) {
  auto comparison = compare(directory);
  const auto& folder = directory.path();
  write_atomically(folder / "comparison.json", to_json(comparison).dump(1) + "\n");
  write_atomically(folder / "comparison.md", markdown_table(comparison));
  write_atomically(folder / "comparison.tex", latex_table(comparison));
  write_atomically(folder / "comparison.csv", csv_table(comparison));
  fs::create_directories(folder / "figures");
  for (const auto& plot : comparison.figures)
    write_atomically(folder / "figures" / (plot.id + ".svg"), svg_figure(plot));
  comparison::write_study_report(folder, comparison);
  return comparison;
}

}  // namespace marginalia
