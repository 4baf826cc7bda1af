/// \file
/// Plots of what was measured on the way against what had been spent: a mean curve for each row.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

constexpr std::size_t kPoints = 200;  // of a mean curve

struct Point {
  double x, y;
};
using Line = std::vector<Point>;  ///< x rise

/// y at x, between the points along straight lines.
double at(const Line& line, double x) {
  const auto after = std::ranges::lower_bound(line, x, {}, &Point::x);
  if (after == line.begin()) return after->y;
  if (after == line.end()) return line.back().y;
  const auto before = std::prev(after);
  const auto part = (x - before->x) / (after->x - before->x);
  return before->y + part * (after->y - before->y);
}

/// The x of all lines that every one of them reaches, and the first and last such x.
std::vector<double> shared_x(const std::vector<Line>& lines) {
  double first = -INFINITY, last = INFINITY;
  std::set<double> grid;
  for (const auto& line : lines) {
    first = std::max(first, line.front().x);
    last = std::min(last, line.back().x);
    for (const auto& point : line)
      grid.insert(point.x);
  }
  std::vector<double> shared{first};
  for (const auto x : grid)
    if (x > first && x < last) shared.push_back(x);
  if (last > first) shared.push_back(last);
  return shared;
}

/// The mean of lines over the x that all of them reach.
void add_mean(Series& to, const std::vector<Line>& lines) {
  const auto shared = shared_x(lines);
  const auto stride = (shared.size() + kPoints - 1) / kPoints;
  for (std::size_t i = 0; i < shared.size(); ++i) {
    if (i % stride != 0 && i + 1 != shared.size()) continue;
    std::vector<double> values;
    for (const auto& line : lines)
      values.push_back(at(line, shared[i]));
    add_point(to, shared[i], summarise(values));
  }
}

/// One run's line: a point at each x, the last of those that share one.
Line make_line(const std::vector<double>& x, const std::vector<double>& y) {
  std::map<double, double> points;
  for (std::size_t i = 0; i < y.size(); ++i)
    if (std::isfinite(x[i])) points[x[i]] = y[i];
  Line line;
  for (const auto& [at, value] : points)
    line.push_back({at, value});
  return line;
}

/// The curve of a metric that all runs of a row share; of those that have none in common, that of
/// the first.
std::string key_of_row(const Part& part, const std::string& row, const std::string& metric,
                       const MetricFacts& facts) {
  std::vector<Keys> runs;
  for (const auto* e : part.finished(row))
    runs.push_back(list_keys(e->curves));
  auto key = common_key(runs, metric, facts);
  for (const auto& keys : runs)
    if (key.empty()) key = key_in(keys, metric, facts);
  return key;
}

/// A mean curve of each row that was measured.
std::vector<Series> mean_curves(const Part& part, const std::vector<std::string>& rows,
                                const std::string& metric, const MetricFacts& facts,
                                std::vector<double> Curve::*along) {
  std::vector<Series> all;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::vector<Line> lines;
    const auto key = key_of_row(part, rows[r], metric, facts);
    for (const auto* e : part.finished(rows[r])) {
      const auto* curve = find(e->curves, key);
      if (!curve) continue;
      if (auto line = make_line(curve->*along, curve->value); !line.empty())
        lines.push_back(std::move(line));
    }
    if (lines.empty()) continue;
    const bool named =
        metric == parse_metric(metric) && facts.has_column(metric, ColumnKind::kShared);
    const auto label = named ? rows[r] + ", " + to_words(parse_estimator(key)) : rows[r];
    add_mean(all.emplace_back(Series{.label = label, .colour = r, .style = "line"}), lines);
  }
  return all;
}

}  // namespace

void add_curves(std::vector<Plot>& plots, const Part& part, const std::vector<std::string>& rows,
                const std::string& metric, const MetricFacts& facts) {
  for (const auto& cost : kCosts) {
    if (!cost.along) continue;
    auto series = mean_curves(part, rows, metric, facts, cost.along);
    const bool is_spent =
        std::ranges::any_of(series, [](const Series& one) { return one.x.back() > 0; });
    if (!is_spent) continue;
    const auto* axis = cost.along == &Curve::step ? "step" : cost.key;
    const auto* x = cost.along == &Curve::seconds ? "seconds of training" : cost.label;
    plots.push_back(scaled({.id = part.name(fmt::format("curve-{}-{}", metric, axis)),
                            .group = "curves",
                            .title = part.name(to_label(metric, facts)),
                            .x = {x},
                            .y = {to_label(metric, facts)},
                            .series = std::move(series),
                            .axis = cost.key}));
  }
}

}  // namespace marginalia::comparison
