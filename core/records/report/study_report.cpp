#include <algorithm>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/files.h>

#include "report.h"
#include "report_page.h"

namespace marginalia {
namespace {

namespace fs = std::filesystem;

/// The first samples of a run; none where it wrote none.
Json samples_of(const fs::path& run, std::int64_t most) {
  Json rows = Json::array();
  std::ifstream in(run / "samples" / "samples.jsonl", std::ios::binary);
  for (std::string line; std::int64_t(rows.size()) < most && std::getline(in, line);)
    if (auto row = Json::parse(line, nullptr, false); row.is_object())
      rows.push_back(std::move(row));
  return rows;
}

/// Samples of one finished run of each row.
Json samples_by_row(const fs::path& study, const Json& comparison) {
  Json all = Json::array();
  const auto& rows = comparison.at("table").at("rows");
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (const auto& e : comparison.at("experiments")) {
      if (e.at("row") != rows.at(r).at("row") || e.at("standing") != "finished") continue;
      const auto run = study / e.at("run").get<std::string>();
      const auto record = Json::parse(read_text(run / "run.json"), nullptr, false);
      const auto most = comparison.at("samples").get<std::int64_t>();
      all.push_back({{"row", e.at("row")},
                     {"index", r},
                     {"name", e.at("name")},
                     {"space", record.is_object() ? record.value("space", Json()) : Json()},
                     {"rows", samples_of(run, most)}});
      break;
    }
  return all;
}

/// A comparison without what the page does not show: the numbers that others were made from.
Json shown(Json comparison) {
  comparison["table"].erase("pairs");
  for (auto& e : comparison["experiments"])
    for (const auto* key : {"figures", "curves", "unavailable"})
      e.erase(key);
  return comparison;
}

}  // namespace

void write_study_report(const fs::path& study, const Json& comparison) {
  const Json data{{"comparison", shown(comparison)},
                  {"samples", samples_by_row(study, comparison)}};
  const auto name = comparison.at("study").get<std::string>();
  write_atomically(study / "report.html",
                   study_page({name, data,
                               "comparison.json and comparison.md beside it, the figures in\n"
                               "figures/"}));
}

}  // namespace marginalia
