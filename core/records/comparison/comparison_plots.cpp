/// \file
/// What a comparison draws: each plot is a list of series, a row a colour, made from the
/// experiments' numbers. A band is the mean over the runs of a row, plus and minus its standard
/// error.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

constexpr int kBins = 10;  // of calibration, pooled

/// rms by subset size of "metric/estimator", over the runs of a row.
Series by_size(const Part& part, const std::string& row, const std::string& key) {
  std::map<double, std::vector<double>> values;
  for (const auto* e : part.finished(row))
    if (const auto* measurement = find(e->measurements, key); measurement && measurement->by_size)
      for (const auto& [size, rms] : *measurement->by_size)
        values[size].push_back(rms);
  Series one;
  for (const auto& [size, rms] : values)
    add_point(one, size, summarise(rms));
  return one;
}

void add_sizes(std::vector<Plot>& plots, const Part& part, const std::vector<std::string>& rows,
               const std::string& metric, const Keys& keys, const MetricFacts& facts) {
  std::vector<Series> all;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const char* style = "both";  // a row's second estimator is dashed
    for (const auto& key : keys) {
      auto one = by_size(part, rows[r], key);
      if (one.x.empty()) continue;
      one.label = rows[r];
      if (keys.size() > 1) one.label += ", " + to_words(parse_estimator(key));
      one.colour = r;
      one.style = style;
      all.push_back(std::move(one));
      style = "dashed";
    }
  }
  if (all.empty()) return;
  plots.push_back(scaled({.id = part.name("size-" + metric),
                          .group = "sizes",
                          .title = part.name(to_label(metric, facts) + " by subset size"),
                          .x = {"variables in S"},
                          .y = {"rms"},
                          .series = std::move(all)}));
}

/// Observed against predicted probability, the runs of a row pooled into bins of equal width.
Series pool_calibration(const Part& part, const std::string& row, std::size_t colour) {
  std::vector<CalibrationBin> bins(kBins);  // sums, weighted by the count
  for (const auto* e : part.finished(row))
    for (const auto& measurement : e->measurements)
      for (const auto& [predicted, observed, count] : measurement.bins) {
        auto& bin = bins[std::size_t(std::clamp(int(predicted * kBins), 0, kBins - 1))];
        bin.predicted += count * predicted;
        bin.observed += count * observed;
        bin.count += count;
      }
  Series one{.label = row, .colour = colour, .style = "both"};
  for (const auto& bin : bins) {
    if (bin.count == 0) continue;
    const auto p = bin.observed / bin.count;
    add_point(
        one, bin.predicted / bin.count,
        {.n = std::int64_t(bin.count), .mean = p, .error = std::sqrt(p * (1 - p) / bin.count)});
  }
  return one;
}

void add_calibration(std::vector<Plot>& plots, const Part& part,
                     const std::vector<std::string>& rows) {
  std::vector<Series> all;
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (auto one = pool_calibration(part, rows[r], r); !one.x.empty())
      all.push_back(std::move(one));
  if (all.empty()) return;
  auto& plot = plots.emplace_back(scaled({.id = part.name("calibration"),
                                          .group = "calibration",
                                          .title = part.name("calibration of conditionals"),
                                          .x = {"predicted probability"},
                                          .y = {"observed frequency"},
                                          .series = std::move(all),
                                          .diagonal = true}));
  plot.x.log = plot.y.log = false;
}

/// The times and errors of one estimator, a number of each for every run.
struct TimedErrors {
  std::vector<double> microseconds, errors;
};

/// What an estimator takes for one log p(x_S) in an experiment; null where that was not measured.
const Measurement* find_time(const Experiment& e, const std::string& estimator,
                             const MetricFacts& facts) {
  const auto found = std::ranges::find_if(e.measurements, [&](const Measurement& one) {
    return parse_estimator(one.key) == estimator && facts.plot(one.key) == PlotKind::kTime;
  });
  return found == e.measurements.end() ? nullptr : &*found;
}

std::map<std::string, TimedErrors> timed_errors(const Part& part, const std::string& row,
                                                const std::string& metric,
                                                const MetricFacts& facts) {
  constexpr double kExact = 1e-6;  // nats: 0 has no place on a logarithmic axis
  std::map<std::string, TimedErrors> by_estimator;
  for (const auto* e : part.finished(row))
    for (const auto& error : e->measurements) {
      if (parse_metric(error.key) != metric || facts.plot(error.key) != PlotKind::kPairs) continue;
      const auto estimator = parse_estimator(error.key);
      const auto* time = find_time(*e, estimator, facts);
      if (!time || std::isnan(error.value) || std::isnan(time->value)) continue;
      auto& found = by_estimator[estimator];
      found.microseconds.push_back(1e6 * time->value);
      found.errors.push_back(std::max(error.value, kExact));
    }
  return by_estimator;
}

/// rms error of log-marginals against microseconds a query, a point an estimator of a row.
void add_error_against_time(std::vector<Plot>& plots, const Part& part,
                            const std::vector<std::string>& rows, const std::string& metric,
                            const std::string& id, const MetricFacts& facts) {
  std::vector<Series> all;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (const auto& [estimator, found] : timed_errors(part, rows[r], metric, facts)) {
      const auto label = fmt::format("{}, {}", rows[r], to_words(estimator));
      auto& one = all.emplace_back(Series{.label = label, .colour = r, .style = "both"});
      add_point(one, summarise(found.microseconds).mean, summarise(found.errors));
    }
  if (all.size() < 2) return;
  plots.push_back(scaled({.id = part.name(id),
                          .group = "costs",
                          .title = part.name("error of log-marginals against time"),
                          .x = {"microseconds a query"},
                          .y = {"rms, nats"},
                          .series = std::move(all)}));
}

/// Whether the numbers of all series are positive, and the largest far above the smallest.
bool is_wide(const std::vector<Series>& all, std::vector<double> Series::*numbers) {
  constexpr double kMinLogScaleRatio = 20;
  double low = INFINITY, high = -INFINITY;
  for (const auto& one : all)
    for (const auto value : one.*numbers) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  return low > 0 && high > kMinLogScaleRatio * low;
}

/// Adds the keys that are not there yet.
void add_new(Keys& to, const Keys& keys) {
  for (const auto& key : keys)
    if (!std::ranges::count(to, key)) to.push_back(key);
}

/// The metrics of keys, each once.
Keys list_metrics(const Keys& keys) {
  Keys metrics;
  for (const auto& key : keys)
    add_new(metrics, {parse_metric(key)});
  return metrics;
}

void add_all_curves(std::vector<Plot>& plots, const std::vector<Experiment>& experiments,
                    const std::vector<Part>& parts, const std::vector<std::string>& rows,
                    const MetricFacts& facts) {
  std::vector<Keys> keys;
  Keys different;
  for (const auto& e : experiments) {
    keys.push_back(list_keys(e.curves));
    add_new(different, keys.back());
  }
  for (const auto& metric : list_metrics(different))
    for (const auto& key : list_columns(keys, metric, facts))
      for (const auto& part : parts)
        add_curves(plots, part, rows, key, facts);
}

void add_all_sizes(std::vector<Plot>& plots, const std::vector<Experiment>& experiments,
                   const std::vector<Part>& parts, const std::vector<std::string>& rows,
                   const MetricFacts& facts) {
  Keys keys;
  for (const auto& e : experiments)
    for (const auto& measurement : e.measurements)
      if (measurement.by_size) add_new(keys, {measurement.key});
  for (const auto& metric : list_metrics(keys)) {
    Keys of_metric;
    std::ranges::copy_if(keys, std::back_inserter(of_metric),
                         [&](const std::string& key) { return parse_metric(key) == metric; });
    for (const auto& part : parts)
      add_sizes(plots, part, rows, metric, of_metric, facts);
  }
}

/// Adds a plot for each metric whose errors have a time; that of the first has the plain name.
void add_all_errors_against_time(std::vector<Plot>& plots,
                                 const std::vector<Experiment>& experiments,
                                 const std::vector<Part>& parts,
                                 const std::vector<std::string>& rows, const MetricFacts& facts) {
  Keys metrics;
  for (const auto& e : experiments)
    for (const auto& measurement : e.measurements)
      if (facts.plot(measurement.key) == PlotKind::kPairs)
        add_new(metrics, {parse_metric(measurement.key)});
  for (const auto& metric : metrics) {
    const std::string id = "error-against-time";
    for (const auto& part : parts)
      add_error_against_time(plots, part, rows, metric,
                             metric == metrics.front() ? id : id + "-" + metric, facts);
  }
}

}  // namespace

void add_point(Series& to, double x, const Summary& summary) {
  const auto error = summary.error.value_or(0);
  to.x.push_back(x);
  to.y.push_back(summary.mean);
  to.low.push_back(summary.mean - error);
  to.high.push_back(summary.mean + error);
  to.n.push_back(summary.n);
}

Plot scaled(Plot plot) {
  std::string id;
  for (const char c : plot.id) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
    if (plain || (!id.empty() && id.back() != '-')) id += plain ? c : '-';
  }
  plot.id = id;
  plot.x.log = is_wide(plot.series, &Series::x);
  plot.y.log = is_wide(plot.series, &Series::y);
  if (plot.y.log)  // a band may reach below 0 where the mean does not
    for (auto& one : plot.series)
      for (std::size_t i = 0; i < one.low.size(); ++i)
        if (one.low[i] <= 0) one.low[i] = one.y[i];
  return plot;
}

std::vector<Plot> make_plots(const std::vector<Experiment>& experiments, const Request& request) {
  auto parts = parted(experiments, request.columns());
  if (parts.empty()) parts.push_back(whole(experiments));
  parts = uniform(parts, request.columns());
  const auto& rows = request.rows;
  std::vector<Plot> plots;
  add_against(plots, experiments, request);
  add_all_curves(plots, experiments, parts, rows, request.facts);
  add_all_sizes(plots, experiments, parts, rows, request.facts);
  for (const auto& part : parts)
    add_calibration(plots, part, rows);
  add_all_errors_against_time(plots, experiments, parts, rows, request.facts);
  return plots;
}

}  // namespace marginalia::comparison
