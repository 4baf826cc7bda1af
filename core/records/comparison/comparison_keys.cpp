/// \file
/// Which of a run's measurements stands in which column, and which way a metric is better.
#include <algorithm>

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

std::string to_label(const std::string& metric) {
  auto label = metric;
  if (const auto slash = label.find('/'); slash != std::string::npos) label.replace(slash, 1, ", ");
  std::ranges::replace(label, '_', ' ');
  return label;
}

}  // namespace marginalia::comparison
