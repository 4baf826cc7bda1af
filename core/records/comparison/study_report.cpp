/// \file
/// The page of a study: its comparison, and some samples of each row.
#include <fstream>

#include <nlohmann/json.hpp>

#include <marginalia/files.h>

#include "comparison_parts.h"
#include "records/report/report_page.h"

namespace marginalia::comparison {
namespace {

namespace fs = std::filesystem;

/// The first samples of a run; none where it wrote none.
Json read_first_samples(const fs::path& run, std::int64_t most) {
  Json rows = Json::array();
  std::ifstream in(run / "samples" / "samples.jsonl", std::ios::binary);
  for (std::string line; std::int64_t(rows.size()) < most && std::getline(in, line);)
    if (auto row = Json::parse(line, nullptr, false); row.is_object())
      rows.push_back(std::move(row));
  return rows;
}

/// Samples of one finished run of each row.
Json samples_by_row(const fs::path& study, const Comparison& comparison) {
  Json all = Json::array();
  const auto runs = whole(comparison.experiments);
  const auto& rows = comparison.table.rows;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto finished = runs.finished(rows[r].name);
    if (finished.empty()) continue;
    const auto& e = *finished.front();
    const auto record = Json::parse(read_text(study / e.run / "run.json"), nullptr, false);
    all.push_back({{"row", e.row},
                   {"index", r},
                   {"name", e.name},
                   {"space", record.is_object() ? record.value("space", Json()) : Json()},
                   {"rows", read_first_samples(study / e.run, comparison.samples)}});
  }
  return all;
}

}  // namespace

void write_study_report(const fs::path& study, const Comparison& comparison) {
  const Json data{{"comparison", page_json(comparison)},
                  {"samples", samples_by_row(study, comparison)}};
  write_atomically(study / "report.html",
                   study_page({comparison.study, data,
                               "comparison.json and comparison.md beside it, the figures in\n"
                               "figures/"}));
}

}  // namespace marginalia::comparison
