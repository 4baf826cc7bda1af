/// \file
/// What a comparison draws: each figure is a list of series, a row a colour, made from the
/// experiments' numbers. A band is the mean over the runs of a row, plus and minus its standard
/// error.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "comparison_parts.h"
#include "statistics.h"

namespace marginalia::comparison {
namespace {

constexpr std::size_t kPoints = 200;  // of a mean curve
constexpr int kBins = 10;             // of calibration, pooled

struct Point {
  double x, y;
};
using Curve = std::vector<Point>;

/// Experiments that are drawn together: all of them, or those of one column.
struct Part {
  std::string column;  // "" for all
  Json experiments;
  std::string name(const std::string& figure) const {
    return column.empty() ? figure : figure + ", " + column;
  }
};

void add_point(Json& to, double x, const Summary& summary) {
  const auto error = summary.error.value_or(0);
  to["x"].push_back(x);
  to["y"].push_back(summary.mean);
  to["low"].push_back(summary.mean - error);
  to["high"].push_back(summary.mean + error);
  to["n"].push_back(summary.n);
}

/// y at x of a curve whose x rise, between its points along a line.
double at(const Curve& curve, double x) {
  const auto after = std::ranges::lower_bound(curve, x, {}, &Point::x);
  if (after == curve.begin()) return after->y;
  if (after == curve.end()) return curve.back().y;
  const auto before = std::prev(after);
  const auto part = (x - before->x) / (after->x - before->x);
  return before->y + part * (after->y - before->y);
}

/// The mean of curves over the x that all of them reach.
void add_mean(Json& to, const std::vector<Curve>& curves) {
  double first = -INFINITY, last = INFINITY;
  std::set<double> grid;
  for (const auto& curve : curves) {
    first = std::max(first, curve.front().x);
    last = std::min(last, curve.back().x);
    for (const auto& point : curve)
      grid.insert(point.x);
  }
  std::vector<double> shared{first};
  for (const auto x : grid)
    if (x > first && x < last) shared.push_back(x);
  if (last > first) shared.push_back(last);
  const auto stride = (shared.size() + kPoints - 1) / kPoints;
  for (std::size_t i = 0; i < shared.size(); ++i) {
    if (i % stride != 0 && i + 1 != shared.size()) continue;
    std::vector<double> values;
    for (const auto& curve : curves)
      values.push_back(at(curve, shared[i]));
    add_point(to, shared[i], summary_of(values));
  }
}

/// One run's curve: a point at each x, the last of those that share one.
Curve curve_of(const Json& recorded, const std::string& axis) {
  std::map<double, double> points;
  for (std::size_t i = 0; i < recorded.at("value").size(); ++i) {
    const auto &x = recorded.at(axis).at(i), &y = recorded.at("value").at(i);
    if (x.is_number() && y.is_number() && std::isfinite(x.get<double>()))
      points[x.get<double>()] = y.get<double>();
  }
  Curve curve;
  for (const auto& [x, y] : points)
    curve.push_back({x, y});
  return curve;
}

bool has_data(const Json& one) {
  return one.contains("x") && !one.at("x").empty();
}

void add_curves(Json& figures, const Part& part, const std::vector<std::string>& rows,
                const std::string& metric) {
  for (const auto& cost : kCosts) {
    const std::string axis = std::string_view(cost.key) == "steps" ? "step" : cost.key;
    if (axis == "parameters") continue;
    Json all = Json::array();
    double largest = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::vector<Curve> curves;
      for (const auto& e : part.experiments) {
        if (e.at("row") != rows[r] || !e.contains("curves")) continue;
        const auto key = key_in(keys_of(e.at("curves")), metric);
        if (key.empty()) continue;
        if (auto curve = curve_of(e.at("curves").at(key), axis); !curve.empty())
          curves.push_back(std::move(curve));
      }
      if (curves.empty()) continue;
      auto one = series(rows[r], r, "line");
      add_mean(one, curves);
      largest = std::max(largest, one.at("x").back().get<double>());
      all.push_back(std::move(one));
    }
    if (all.empty() || largest == 0) continue;
    const auto x = std::string(cost.unit) == "seconds" ? "seconds of training" : cost.label;
    figures.push_back(figure(part.name(fmt::format("curve-{}-{}", metric, axis)), "curves",
                             part.name(label_of(metric)), x, label_of(metric), std::move(all)));
    figures.back()["axis"] = cost.key;
  }
}

/// rms by subset size of "metric/estimator", over the runs of a row.
Json by_size(const Json& experiments, const std::string& row, std::size_t colour,
             const std::string& key, const std::string& label, const char* style) {
  std::map<double, std::vector<double>> values;
  for (const auto& e : experiments)
    if (e.at("row") == row && e.contains("figures") && e.at("figures").contains(key) &&
        e.at("figures").at(key).contains("by_size"))
      for (const auto& entry : e.at("figures").at(key).at("by_size"))
        if (entry.contains("rms") && entry.at("rms").is_number())
          values[entry.at("size").get<double>()].push_back(entry.at("rms").get<double>());
  auto one = series(label, colour, style);
  for (const auto& [size, rms] : values)
    add_point(one, size, summary_of(rms));
  return one;
}

void add_sizes(Json& figures, const Part& part, const std::vector<std::string>& rows,
               const std::string& metric, const std::vector<std::string>& keys) {
  Json all = Json::array();
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const char* style = "both";  // a row's second estimator is dashed
    for (const auto& key : keys) {
      const auto label = keys.size() == 1 ? rows[r]
                                          : fmt::format("{}, {}", rows[r],
                                                        label_of(key.substr(metric.size() + 1)));
      auto one = by_size(part.experiments, rows[r], r, key, label, style);
      if (!has_data(one)) continue;
      all.push_back(std::move(one));
      style = "dashed";
    }
  }
  if (!all.empty())
    figures.push_back(figure(part.name("size-" + metric), "sizes",
                             part.name(label_of(metric) + " by subset size"), "variables in S",
                             "rms", std::move(all)));
}

/// Observed against predicted probability, all runs of a row pooled into bins of equal width.
Json calibration_of(const Json& experiments, const std::string& row, std::size_t colour) {
  struct Bin {
    double predicted = 0, observed = 0, count = 0;
  };
  std::vector<Bin> bins(kBins);
  for (const auto& e : experiments) {
    if (e.at("row") != row || !e.contains("figures")) continue;
    for (const auto& [key, figure] : e.at("figures").items()) {
      if (!figure.contains("bins")) continue;
      for (const auto& entry : figure.at("bins")) {
        const auto predicted = entry.at("predicted").get<double>();
        const auto count = entry.at("count").get<double>();
        auto& bin = bins[std::size_t(std::clamp(int(predicted * kBins), 0, kBins - 1))];
        bin.predicted += count * predicted;
        bin.observed += count * entry.at("observed").get<double>();
        bin.count += count;
      }
    }
  }
  auto one = series(row, colour, "both");
  for (const auto& bin : bins) {
    if (bin.count == 0) continue;
    const auto p = bin.observed / bin.count;
    add_point(
        one, bin.predicted / bin.count,
        {.n = std::int64_t(bin.count), .mean = p, .error = std::sqrt(p * (1 - p) / bin.count)});
  }
  return one;
}

void add_calibration(Json& figures, const Json& experiments, const std::vector<std::string>& rows) {
  Json all = Json::array();
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (auto one = calibration_of(experiments, rows[r], r); has_data(one))
      all.push_back(std::move(one));
  if (all.empty()) return;
  figures.push_back(figure("calibration", "calibration", "calibration of conditionals",
                           "predicted probability", "observed frequency", std::move(all)));
  figures.back()["diagonal"] = true;
  figures.back()["x"]["log"] = figures.back()["y"]["log"] = false;
}

/// rms error of log-marginals against microseconds a query, a point an estimator of a row.
void add_error_against_time(Json& figures, const Part& part, const std::vector<std::string>& rows) {
  constexpr double kExact = 1e-6;  // nats: 0 has no place on a logarithmic axis
  Json all = Json::array();
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> by_estimator;
    for (const auto& e : part.experiments) {
      if (e.at("row") != rows[r] || !e.contains("figures")) continue;
      for (const auto& [key, error] : e.at("figures").items()) {
        const auto time = "marginal_seconds/" + estimator_of(key);
        if (metric_of(key) != "marginal_error" || !e.at("figures").contains(time)) continue;
        const auto &rms = error.at("value"), &seconds = e.at("figures").at(time).at("value");
        if (!rms.is_number() || !seconds.is_number()) continue;
        auto& [micros, errors] = by_estimator[estimator_of(key)];
        micros.push_back(1e6 * seconds.get<double>());
        errors.push_back(std::max(rms.get<double>(), kExact));
      }
    }
    for (const auto& [estimator, found] : by_estimator) {
      auto one = series(fmt::format("{}, {}", rows[r], label_of(estimator)), r, "both");
      add_point(one, summary_of(found.first).mean, summary_of(found.second));
      all.push_back(std::move(one));
    }
  }
  if (all.size() > 1)
    figures.push_back(figure(part.name("error-against-time"), "costs",
                             part.name("error of log-marginals against time"),
                             "microseconds a query", "rms, nats", std::move(all)));
}

/// The smallest and largest number of the series under `keys`.
std::pair<double, double> range(const Json& all, std::initializer_list<const char*> keys) {
  double low = INFINITY, high = -INFINITY;
  for (const auto& one : all)
    for (const auto* key : keys)
      for (const auto& value : one.at(key)) {
        low = std::min(low, value.get<double>());
        high = std::max(high, value.get<double>());
      }
  return {low, high};
}

}  // namespace

Json series(const std::string& label, std::size_t colour, const char* style) {
  Json one{{"label", label}, {"colour", colour}, {"style", style}};
  for (const auto* key : {"x", "y", "low", "high", "n"})
    one[key] = Json::array();
  return one;
}

Json figure(const std::string& id, const std::string& group, const std::string& title,
            const std::string& x, const std::string& y, Json all) {
  constexpr double kWide = 20;
  const auto is_wide = [&](std::initializer_list<const char*> keys) {
    const auto [low, high] = range(all, keys);
    return low > 0 && high > kWide * low;
  };
  std::string name;  // a file's, too
  for (const char c : id) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
    if (plain || (!name.empty() && name.back() != '-')) name += plain ? c : '-';
  }
  Json made{{"id", name}, {"group", group}, {"title", title}};
  made["x"] = {{"label", x}, {"log", is_wide({"x"})}};
  made["y"] = {{"label", y}, {"log", is_wide({"y"})}};
  if (made["y"]["log"])  // a band may reach below 0 where the mean does not
    for (auto& one : all)
      for (std::size_t i = 0; i < one.at("low").size(); ++i)
        if (one["low"][i].get<double>() <= 0) one["low"][i] = one["y"][i];
  made["series"] = std::move(all);
  return made;
}

Json figures_of(const Json& experiments, const std::vector<std::string>& rows,
                const std::string& columns) {
  std::vector<Keys> curves;
  std::vector<std::string> metrics;                 // of the curves
  std::vector<std::pair<std::string, Keys>> sizes;  // metric, its keys
  const auto note_size = [&](const std::string& key) {
    const auto metric = key.substr(0, key.find('/'));
    auto known = std::ranges::find(sizes, metric, [](const auto& entry) { return entry.first; });
    if (known == sizes.end()) known = sizes.insert(sizes.end(), {metric, {}});
    if (!std::ranges::count(known->second, key)) known->second.push_back(key);
  };
  for (const auto& e : experiments) {
    if (e.contains("curves")) {
      curves.push_back(keys_of(e.at("curves")));
      for (const auto& key : curves.back())
        if (const auto metric = key.substr(0, key.find('/')); !std::ranges::count(metrics, metric))
          metrics.push_back(metric);
    }
    if (e.contains("figures"))
      for (const auto& [key, entry] : e.at("figures").items())
        if (entry.contains("by_size")) note_size(key);
  }
  Json figures = Json::array();
  std::vector<Part> parts;
  for (auto& [column, some] : parted(experiments, columns))
    parts.push_back({column, std::move(some)});
  if (parts.empty()) parts.push_back({"", experiments});
  for (const auto& metric : metrics)
    for (const auto& key : columns_of(curves, metric))
      for (const auto& part : parts)
        add_curves(figures, part, rows, key);
  for (const auto& [metric, keys] : sizes)
    for (const auto& part : parts)
      add_sizes(figures, part, rows, metric, keys);
  add_calibration(figures, experiments, rows);
  for (const auto& part : parts)
    add_error_against_time(figures, part, rows);
  return figures;
}

}  // namespace marginalia::comparison
