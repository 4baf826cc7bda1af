/// \file
/// Power laws of a loss over a sweep of sizes. Every checkpoint that was measured on the way is a
/// point, at
///
///   parameters N    of the model
///   data D          rows it has been trained on so far
///   compute C       N x network passes x rows so far; of networks that share weights over places
///                   (convolutions, transformers) that is less than their multiplications
///
/// Four laws: L = E + A x^-alpha for x = N (the last point of each run), D and C (points that no
/// other one beats with less), and L = E + A N^-alpha + B D^-beta over all points.
/// Extrapolation: the largest N (for D and C: the upper half of the range) is held out, the law is
/// fitted to the rest and asked for what was held out; "constant" is the error of saying the lowest
/// loss of the rest instead. Standard errors of exponents are by jackknife over the runs.
/// Source: Hoffmann et al. (2022), arXiv:2203.15556, sect. 3.3.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

using Checkpoints = std::vector<Checkpoint>;

struct Axis {
  const char *key, *label;
  double Checkpoint::*x;
};
constexpr Axis kAxes[] = {{"parameters", "parameters N", &Checkpoint::parameters},
                          {"data", "rows of data D", &Checkpoint::data},
                          {"compute", "compute C = N x passes", &Checkpoint::compute}};

/// The points of one run: its curve, else its evaluation alone.
Checkpoints list_checkpoints(const Experiment& e, const ScalingParams& params) {
  const auto N = e.costs.parameters, rows = double(e.rows_per_step);
  Checkpoints points;
  if (const auto* curve = find(e.curves, params.metric)) {
    for (std::size_t i = 0; i < curve->value.size(); ++i)
      if (const auto step = curve->step[i]; step >= params.skip * e.costs.steps)
        points.push_back(
            {e.name, e.target, N, step * rows, N * curve->passes[i], curve->value[i], false});
  } else if (const auto* end = find(e.measurements, params.metric)) {
    points.push_back(
        {e.name, e.target, N, e.costs.steps * rows, N * e.costs.passes, end->value, false});
  }
  if (!points.empty()) points.back().last = true;
  return points;
}

/// The points of all runs that a law can be fitted to.
Checkpoints checkpoints_in(const std::vector<Experiment>& experiments,
                           const ScalingParams& params) {
  Checkpoints all;
  for (const auto& e : experiments)
    std::ranges::copy_if(list_checkpoints(e, params), std::back_inserter(all),
                         [](const Checkpoint& c) {
                           return c.loss > 0 && c.parameters > 0 && c.data > 0 && c.compute > 0;
                         });
  return all;
}

/// The points of an axis: of N the last of each run; of D and C those that none with less beats.
Checkpoints along(const Checkpoints& all, const Axis& axis) {
  Checkpoints chosen;
  if (axis.x == &Checkpoint::parameters) {
    std::ranges::copy_if(all, std::back_inserter(chosen), &Checkpoint::last);
    return chosen;
  }
  auto sorted = all;
  std::ranges::stable_sort(sorted, {},
                           [&](const Checkpoint& c) { return std::pair(c.*axis.x, c.loss); });
  double lowest = INFINITY;
  for (const auto& c : sorted)
    if (c.loss < lowest) {
      lowest = c.loss;
      chosen.push_back(c);
    }
  return chosen;
}

double rms(const std::vector<double>& values) {
  double sum = 0;
  for (const auto value : values)
    sum += value * value;
  return std::sqrt(sum / double(values.size()));
}

/// A law to be fitted, and what it is fitted to.
class Law {
 public:
  Law(Checkpoints points, Axis axis, bool with_data)
      : points_(std::move(points)), axis_(axis), with_data_(with_data) {}

  /// The law, how it fits, and how it extrapolates.
  ScalingLaw fitted() const {
    ScalingLaw law{.target = "",
                   .axis = with_data_ ? "parameters and data" : axis_.key,
                   .with_data = with_data_,
                   .points = points_.size()};
    try {
      law.fit = fit(points_);
      jackknife(law);
      law.held_out = extrapolate();
    } catch (const Error& e) {
      law.why = e.what();
    }
    return law;
  }
  const Checkpoints& points() const { return points_; }
  /// Whether a point is among those that the extrapolation is judged by.
  bool is_held_out(const Checkpoint& c) const {
    const auto largest = std::ranges::max(points_, {}, axis_.x).*axis_.x;
    return axis_.x == &Checkpoint::parameters ? c.*axis_.x == largest : c.*axis_.x > largest / 2;
  }

 private:
  PowerLaw fit(const Checkpoints& points) const {
    std::vector<LossPoint> losses;
    for (const auto& c : points)
      losses.push_back({c.*axis_.x, c.data, c.loss});
    return fit_power_law(losses, with_data_);
  }

  /// Standard errors of the exponents, leaving out a run at a time:
  /// se^2 = (n - 1) / n sum (alpha_i - mean)^2.
  void jackknife(ScalingLaw& law) const {
    std::set<std::string> runs;
    for (const auto& c : points_)
      runs.insert(c.experiment);
    std::vector<double> alphas, betas;
    for (const auto& left_out : runs) {
      Checkpoints rest;
      std::ranges::copy_if(points_, std::back_inserter(rest),
                           [&](const Checkpoint& c) { return c.experiment != left_out; });
      try {
        const auto of_rest = fit(rest);
        alphas.push_back(of_rest.exponent);
        betas.push_back(of_rest.data_exponent);
      } catch (const Error&) {
        return;  // too few sizes are left: there is no error to give
      }
    }
    const auto error = [](const std::vector<double>& values) {
      return *summarise(values).error * double(values.size() - 1);
    };
    if (alphas.size() < 2) return;
    law.alpha_error = error(alphas);
    if (with_data_) law.beta_error = error(betas);
  }

  HeldOut extrapolate() const {
    Checkpoints kept, held_out;
    for (const auto& c : points_)
      (is_held_out(c) ? held_out : kept).push_back(c);
    HeldOut result{.points = held_out.size()};
    try {
      const auto law = fit(kept);
      const auto lowest = std::ranges::min(kept, {}, &Checkpoint::loss).loss;
      std::vector<double> errors, constant;
      for (const auto& c : held_out) {
        const auto predicted = law.at(c.*axis_.x, c.data);
        result.of.push_back({c, c.*axis_.x, predicted});
        errors.push_back((predicted - c.loss) / c.loss);
        constant.push_back((lowest - c.loss) / c.loss);
      }
      result.error_rms = rms(errors);
      result.constant_error_rms = rms(constant);
    } catch (const Error& e) {
      result.why = e.what();
    }
    return result;
  }

  Checkpoints points_;
  Axis axis_;
  bool with_data_;
};

/// All points of an axis: those that the law was fitted to, those held out, and the others.
std::vector<Series> dots(const Law& law, const Checkpoints& all, const Axis& axis) {
  Series others{.label = "other checkpoints", .colour = 5, .style = "points"};
  Series kept{.label = "fitted", .colour = 0, .style = "points"};
  Series held_out{.label = "held out for the extrapolation", .colour = 1, .style = "points"};
  for (const auto& c : all) {
    const bool of_law = std::ranges::any_of(law.points(), [&](const Checkpoint& p) {
      return p.experiment == c.experiment && p.data == c.data;
    });
    if (!of_law && axis.x == &Checkpoint::parameters) continue;
    auto& to = !of_law ? others : law.is_held_out(c) ? held_out : kept;
    add_point(to, c.*axis.x, {.n = 1, .mean = c.loss});
  }
  std::vector<Series> series;
  for (auto* one : {&others, &kept, &held_out})
    if (!one->x.empty()) series.push_back(std::move(*one));
  return series;
}

/// A law as a line over the x of the dots.
Series line(const PowerLaw& law, const std::vector<Series>& dots) {
  constexpr int kLine = 60;
  std::set<double> all;
  for (const auto& one : dots)
    all.insert(one.x.begin(), one.x.end());
  const auto low = *all.begin(), high = *all.rbegin();
  Series made{.label = fmt::format("E + A x^-{:.3g}", law.exponent), .colour = 2, .style = "line"};
  for (int i = 0; i <= kLine; ++i) {
    const auto x = low * std::pow(high / low, double(i) / kLine);
    add_point(made, x, {.n = 1, .mean = law.at(x)});
  }
  return made;
}

Plot plot(const ScalingLaw& law, std::vector<Series> series, const Axis& axis,
          const std::string& metric) {
  if (law.fit) series.push_back(line(*law.fit, series));
  const Part part{law.target, {}};
  auto made = scaled({.id = part.name(fmt::format("scaling-{}", axis.key)),
                      .group = "scaling",
                      .title = part.name(fmt::format("{} against {}", to_words(metric), axis.key)),
                      .x = {axis.label},
                      .y = {to_words(metric)},
                      .series = std::move(series)});
  made.x.log = true;
  return made;
}

/// The points of each target, with what it is called: of losses at different ones there is no law.
std::vector<std::pair<std::string, Checkpoints>> by_target(
    const std::vector<Experiment>& experiments, const Checkpoints& all) {
  std::vector<std::pair<std::string, Checkpoints>> parts;
  std::map<std::string, std::size_t> place;
  for (const auto& c : all) {
    const auto [at, is_new] = place.try_emplace(c.target, parts.size());
    if (is_new)
      parts.emplace_back(
          target_name(*std::ranges::find(experiments, c.target, &Experiment::target)),
          Checkpoints{});
    parts[at->second].second.push_back(c);
  }
  return parts;
}

/// The laws of one target, and their plots.
void add_laws(Scaling& scaling, std::vector<Plot>& plots, const Checkpoints& all,
              const std::string& target) {
  const auto add = [&](const Law& law) -> const ScalingLaw& {
    scaling.laws.push_back(law.fitted());
    scaling.laws.back().target = target;
    return scaling.laws.back();
  };
  for (const auto& axis : kAxes) {
    const Law law(along(all, axis), axis, false);
    const auto& fitted = add(law);
    plots.push_back(plot(fitted, dots(law, all, axis), axis, scaling.metric));
  }
  add(Law(all, kAxes[0], true));
}

}  // namespace

Scaling fit_scaling(const std::vector<Experiment>& experiments, const ScalingParams& params,
                    std::vector<Plot>& plots) {
  if (params.metric.empty()) return {};
  Scaling result{.metric = params.metric, .points = checkpoints_in(experiments, params)};
  if (result.points.empty())
    result.why = "no finished run has this metric above 0, with parameters and passes";
  const auto targets = by_target(experiments, result.points);
  for (const auto& [name, points] : targets)
    add_laws(result, plots, points, targets.size() > 1 ? name : "");
  return result;
}

}  // namespace marginalia::comparison
