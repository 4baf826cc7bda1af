#include "baselines.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace marginalia {
namespace {

/// What a row's experiments share.
struct RowFacts {
  std::string name;
  std::set<std::string> targets = {};
  std::set<std::string> variants = {};
  Json settings = Json::object();  ///< of the keys that make rows, the variant apart

  bool shares_target(const RowFacts& other) const {
    return std::ranges::any_of(targets,
                               [&](const auto& one) { return other.targets.contains(one); });
  }
  bool is_only(const std::string& variant) const {
    return variants.size() == 1 && *variants.begin() == variant;
  }
};

std::vector<RowFacts> facts_of_rows(const Study& study) {
  std::vector<RowFacts> rows;
  for (const auto& e : study.experiments) {
    auto row = std::ranges::find(rows, e.row, &RowFacts::name);
    if (row == rows.end()) row = rows.insert(rows.end(), {.name = e.row});
    row->targets.insert(target(e));
    row->variants.insert(e.variant);
    for (const auto& key : study.compare.rows)
      if (e.settings.contains(key)) row->settings[key] = e.settings.at(key);
  }
  return rows;
}

std::vector<RowFacts> candidates(const std::vector<RowFacts>& rows, const std::string& asked) {
  std::vector<RowFacts> chosen;
  std::ranges::copy_if(rows, std::back_inserter(chosen),
                       [&](const RowFacts& row) { return asked.empty() || row.name == asked; });
  if (!chosen.empty()) return chosen;
  std::ranges::copy_if(rows, std::back_inserter(chosen),
                       [&](const RowFacts& row) { return row.is_only(asked); });
  return chosen;
}

Baseline find_baseline(const RowFacts& row, const std::vector<RowFacts>& candidates,
                       bool first_will_do) {
  std::vector<std::string> names, alike;
  for (const auto& other : candidates) {
    if (!other.shares_target(row)) continue;
    names.push_back(other.name);
    if (other.settings == row.settings) alike.push_back(other.name);
  }
  if (names.empty()) return {};
  if (names.size() == 1 || first_will_do) return {names.front(), ""};
  if (alike.size() == 1) return {alike.front(), ""};
  return {"", fmt::format("\"{}\"", fmt::join(names, "\", \""))};
}

}  // namespace

std::map<std::string, Baseline> baselines(const Study& study) {
  const auto rows = facts_of_rows(study);
  const auto& asked = study.compare.baseline;
  const auto possible = candidates(rows, asked);
  std::map<std::string, Baseline> all;
  for (const auto& row : rows)
    all[row.name] = find_baseline(row, possible, asked.empty());
  return all;
}

std::string baseline_in_words(const Study& study) {
  std::set<std::string> names;
  for (const auto& [_, baseline] : baselines(study))
    if (!baseline.row.empty()) names.insert(baseline.row);
  if (names.size() == 1) return *names.begin();
  return study.compare.baseline.empty() ? "the first row of each target" : study.compare.baseline;
}

}  // namespace marginalia
