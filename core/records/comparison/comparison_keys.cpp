/// \file
/// Which of a run's measurements stands in which column, and which way a metric is better.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "comparison_parts.h"

namespace marginalia::comparison {
std::string parse_metric(const std::string& key) {
  return key.substr(0, key.find('/'));
}
std::string parse_estimator(const std::string& key) {
  const auto slash = key.find('/');
  return slash == std::string::npos ? "" : key.substr(slash + 1);
}

std::string find_better(const std::string& key, const CompareParams& compare,
                        const MetricFacts& facts) {
  const auto names = [&](const std::vector<std::string>& list) {
    return std::ranges::count(list, key) || std::ranges::count(list, parse_metric(key));
  };
  if (names(compare.lower_is_better)) return "lower";
  if (names(compare.higher_is_better)) return "higher";
  const auto better = facts.better(key);
  return better == Better::kNeither ? "" : std::string(to_string(better));
}

std::vector<const Experiment*> Part::finished(const std::string& row) const {
  std::vector<const Experiment*> found;
  std::ranges::copy_if(experiments, std::back_inserter(found),
                       [&](const Experiment* e) { return e->row == row && e->is_finished(); });
  return found;
}

Part whole(const std::vector<Experiment>& experiments) {
  Part all;
  for (const auto& e : experiments)
    all.experiments.push_back(&e);
  return all;
}

std::string some(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  if (names.size() <= kShown) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kShown, ", "),
                     names.size() - kShown);
}

/// "energy.side": 3 -> "side 3"
static std::string to_words(const std::string& key, const Json& value) {
  const bool typed = value.is_object() && value.contains("type") && value.at("type").is_string();
  const auto& shown = typed ? value.at("type") : value;
  return fmt::format("{} {}", key.substr(key.rfind('.') + 1),
                     shown.is_string() ? shown.get<std::string>() : shown.dump());
}

std::string stratum_key(const Experiment& e) {
  auto key = e.target;
  for (const auto& [name, value] : e.pair.items())
    if (name != "seed") key += "\n" + name + "=" + value.dump();
  return key;
}

std::string stratum_name(const Experiment& e, const std::string& columns) {
  std::vector<std::string> words;
  for (const auto& [key, value] : e.pair.items())
    if (key != "seed" && key != columns) words.push_back(to_words(key, value));
  return words.empty() ? e.name : fmt::format("{}", fmt::join(words, ", "));
}

std::string target_name(const Experiment& e) {
  std::vector<std::string> words;
  for (const auto& [key, value] : e.settings.items())
    if (key.starts_with("energy") || key.starts_with("dataset"))
      words.push_back(to_words(key, value));
  return words.empty() ? e.row : fmt::format("{}", fmt::join(words, ", "));
}

std::vector<Part> parted(const std::vector<Experiment>& experiments, const std::string& key) {
  std::vector<Part> parts;
  for (const auto& e : experiments) {
    if (key.empty() || !e.pair.contains(key)) continue;
    const auto& value = e.pair.at(key);
    const auto text = value.is_string() ? value.get<std::string>() : value.dump();
    auto part = std::ranges::find(parts, text, &Part::value);
    if (part == parts.end()) part = parts.insert(parts.end(), {text, {}});
    part->experiments.push_back(&e);
  }
  return parts;
}

std::vector<Part> uniform(const std::vector<Part>& parts, const std::string& columns) {
  std::vector<Part> all;
  for (const auto& part : parts) {
    std::map<std::string, std::set<std::string>> strata;  // by row
    for (const auto* e : part.experiments)
      strata[e->row].insert(stratum_key(*e));
    if (std::ranges::all_of(strata, [](const auto& row) { return row.second.size() == 1; })) {
      all.push_back(part);
      continue;
    }
    std::map<std::string, std::size_t> place;                     // by name, among `all`
    std::map<std::string, std::map<std::string, int>> namesakes;  // a row's strata of one name
    for (const auto* e : part.experiments) {
      auto name = stratum_name(*e, columns);
      auto& keys = namesakes[e->row + "\n" + name];
      const auto number = keys.try_emplace(stratum_key(*e), int(keys.size()) + 1).first->second;
      if (number > 1) name += fmt::format(" ({})", number);
      const auto [at, is_new] = place.try_emplace(name, all.size());
      if (is_new) all.push_back({part.name(name), {}});
      all[at->second].experiments.push_back(e);
    }
  }
  return all;
}

std::vector<std::string> asked_for(const std::vector<Experiment>& experiments,
                                   const CompareParams& compare) {
  if (!compare.metrics.empty()) return compare.metrics;
  std::vector<std::string> all;
  for (const auto& e : experiments)
    for (const auto& measurement : e.measurements)
      if (const auto metric = parse_metric(measurement.key); !std::ranges::count(all, metric))
        all.push_back(metric);
  return all;
}

std::vector<std::string> list_columns(const std::vector<Keys>& experiments,
                                      const std::string& asked, const MetricFacts& facts) {
  if (asked.find('/') != std::string::npos || facts.has_column(asked, ColumnKind::kShared))
    return {asked};
  std::vector<std::string> columns;
  bool several = false;
  for (const auto& keys : experiments) {
    several = several || std::ranges::count(keys, asked, parse_metric) > 1;
    for (const auto& key : keys)
      if (parse_metric(key) == asked && !std::ranges::count(columns, key)) columns.push_back(key);
  }
  return several ? columns : std::vector<std::string>{asked};
}

std::string key_in(const Keys& keys, const std::string& column, const MetricFacts& facts) {
  const auto metric = parse_metric(column);
  Keys candidates;
  for (const auto& key : keys)
    if (parse_metric(key) == metric && facts.column(key) != ColumnKind::kAside)
      candidates.push_back(key);
  if (std::ranges::count(candidates, column)) return column;
  if (candidates.empty() || !parse_estimator(column).empty()) return "";
  if (!facts.has_column(metric, ColumnKind::kShared)) return candidates.front();
  return *std::ranges::min_element(candidates, {},
                                   [&](const std::string& key) { return facts.rank(key); });
}

std::string common_key(const std::vector<Keys>& runs, const std::string& column,
                       const MetricFacts& facts) {
  std::optional<Keys> common;
  for (const auto& keys : runs) {
    if (key_in(keys, column, facts).empty()) continue;
    if (!common) common = keys;
    std::erase_if(*common, [&](const std::string& key) { return !std::ranges::count(keys, key); });
  }
  return common ? key_in(*common, column, facts) : "";
}

std::string to_label(const std::string& key, const MetricFacts& facts) {
  const auto label = facts.error_label(key);
  return label.empty() ? to_words(key) : label;
}

std::string to_words(const std::string& key) {
  auto label = key;
  if (const auto slash = label.find('/'); slash != std::string::npos) label.replace(slash, 1, ", ");
  std::ranges::replace(label, '_', ' ');
  return label;
}

}  // namespace marginalia::comparison
