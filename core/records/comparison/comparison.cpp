#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <marginalia/files.h>

#include "comparison.h"
#include "comparison_parts.h"
#include "records/report/report.h"
#include "sdk/base/text.h"

namespace marginalia {

namespace fs = std::filesystem;

Json compare(const StudyDirectory& directory) {
  const auto study = directory.study();
  std::vector<std::string> notes;
  const auto runs = directory.find(study, notes);
  auto experiments = comparison::read_experiments(study, runs, directory.path(), notes);
  const auto rows = study.row_names();
  auto figures = comparison::figures_of(experiments, rows, study.compare.columns);
  auto scaling = comparison::scaling_of(experiments, study.compare.scaling, figures);
  auto table = comparison::table_of(experiments, study.compare, rows);
  return {{"marginalia_comparison", 1},
          {"study", study.name},
          {"note", study.manifest.value("note", "")},
          {"written", utc_text(std::chrono::system_clock::now())},
          {"budget", study.manifest.value("budget", Json())},
          {"baseline",
           study.compare.baseline.empty() && !rows.empty() ? rows.front() : study.compare.baseline},
          {"alpha", study.compare.alpha},
          {"test", "Student's t of paired differences, two-sided"},
          {"correction", "Holm, over the tests of a " + study.compare.correct_within},
          {"samples", study.compare.samples},
          {"notes", notes},
          {"table", table},
          {"scaling", scaling},
          {"figures", figures},
          {"experiments", experiments}};
}

Json write_comparison(const StudyDirectory& directory) {
  auto comparison = compare(directory);
  const auto& folder = directory.path();
  write_atomically(folder / "comparison.json", comparison.dump(1) + "\n");
  write_atomically(folder / "comparison.md", markdown_table(comparison));
  write_atomically(folder / "comparison.tex", latex_table(comparison));
  write_atomically(folder / "comparison.csv", csv_table(comparison));
  fs::create_directories(folder / "figures");
  for (const auto& figure : comparison.at("figures"))
    write_atomically(folder / "figures" / (figure.at("id").get<std::string>() + ".svg"),
                     svg_figure(figure));
  write_study_report(folder, comparison);
  return comparison;
}

}  // namespace marginalia
