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
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "comparison.h"
#include "comparison_parts.h"
#include "statistics.h"

namespace marginalia::comparison {
namespace {

/// One measured checkpoint.
struct Checkpoint {
  std::string experiment;
  double parameters, data, compute, loss;
  bool last;
};
using Checkpoints = std::vector<Checkpoint>;

struct Axis {
  const char *key, *label;
  double Checkpoint::*x;
};
constexpr Axis kAxes[] = {{"parameters", "parameters N", &Checkpoint::parameters},
                          {"data", "rows of data D", &Checkpoint::data},
                          {"compute", "compute C = N x passes", &Checkpoint::compute}};

double number(const Json& json) {
  return json.is_number() ? json.get<double>() : NAN;
}

/// The points of one run: its curve, else its evaluation alone.
void add_points(Checkpoints& all, const Json& e, const ScalingParams& scaling) {
  if (!e.contains("costs")) return;
  const auto N = number(e.at("costs").at("parameters"));
  const auto rows = number(e.at("rows_a_step")), steps = number(e.at("costs").at("steps"));
  const std::string name = e.at("name");
  const auto first = all.size();
  if (e.at("curves").contains(scaling.metric)) {
    const auto& curve = e.at("curves").at(scaling.metric);
    for (std::size_t i = 0; i < curve.at("value").size(); ++i)
      if (const auto step = number(curve.at("step").at(i)); step >= scaling.skip * steps)
        all.push_back({name, N, step * rows, N * number(curve.at("passes").at(i)),
                       number(curve.at("value").at(i)), false});
  } else if (e.at("figures").contains(scaling.metric)) {
    all.push_back({name, N, steps * rows, N * number(e.at("costs").at("passes")),
                   number(e.at("figures").at(scaling.metric).at("value")), false});
  }
  if (all.size() > first) all.back().last = true;
}

LossPoint point(const Checkpoint& c, const Axis& axis) {
  return {c.*axis.x, c.data, c.loss};
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

/// A law, how it fits, and how it extrapolates.
class Law {
 public:
  Law(Checkpoints points, Axis axis, bool with_data)
      : points_(std::move(points)), axis_(axis), with_data_(with_data) {}

  Json fit() const {
    Json json{{"axis", with_data_ ? "parameters and data" : axis_.key},
              {"formula", with_data_ ? "L = E + A N^-alpha + B D^-beta" : "L = E + A x^-alpha"},
              {"points", points_.size()}};
    try {
      const auto law = fit_power_law(as_losses(points_), with_data_);
      describe(json, law);
      jackknife(json);
      json["held_out"] = extrapolate();
    } catch (const Error& e) {
      json["why"] = e.what();
    }
    return json;
  }
  const Checkpoints& points() const { return points_; }
  /// Whether a point is among those that the extrapolation is judged by.
  bool is_held_out(const Checkpoint& c) const {
    const auto largest = std::ranges::max(points_, {}, axis_.x).*axis_.x;
    return axis_.x == &Checkpoint::parameters ? c.*axis_.x == largest : c.*axis_.x > largest / 2;
  }

 private:
  std::vector<LossPoint> as_losses(const Checkpoints& points) const {
    std::vector<LossPoint> losses;
    for (const auto& c : points)
      losses.push_back(point(c, axis_));
    return losses;
  }

  void describe(Json& json, const PowerLaw& law) const {
    json["E"] = law.floor;
    json["A"] = law.scale;
    json["alpha"] = law.exponent;
    if (with_data_) {
      json["B"] = law.data_scale;
      json["beta"] = law.data_exponent;
    }
    json["residual_rms"] = law.residual;
  }

  /// Standard errors of the exponents, leaving out a run at a time:
  /// se^2 = (n - 1) / n sum (alpha_i - mean)^2.
  void jackknife(Json& json) const {
    std::set<std::string> runs;
    for (const auto& c : points_)
      runs.insert(c.experiment);
    std::vector<double> alphas, betas;
    for (const auto& left_out : runs) {
      Checkpoints rest;
      std::ranges::copy_if(points_, std::back_inserter(rest),
                           [&](const Checkpoint& c) { return c.experiment != left_out; });
      try {
        const auto law = fit_power_law(as_losses(rest), with_data_);
        alphas.push_back(law.exponent);
        betas.push_back(law.data_exponent);
      } catch (const Error&) {
        return;  // too few sizes are left: there is no error to give
      }
    }
    const auto error = [](const std::vector<double>& values) {
      return *summary_of(values).error * double(values.size() - 1);
    };
    if (alphas.size() < 2) return;
    json["alpha_stderr"] = error(alphas);
    if (with_data_) json["beta_stderr"] = error(betas);
  }

  Json extrapolate() const {
    Checkpoints kept, held_out;
    for (const auto& c : points_)
      (is_held_out(c) ? held_out : kept).push_back(c);
    Json json{{"points", held_out.size()}};
    try {
      const auto law = fit_power_law(as_losses(kept), with_data_);
      const auto lowest = std::ranges::min(kept, {}, &Checkpoint::loss).loss;
      std::vector<double> errors, constant;
      for (const auto& c : held_out) {
        const auto predicted = law.at(c.*axis_.x, c.data);
        json["of"].push_back({{"experiment", c.experiment},
                              {"x", c.*axis_.x},
                              {"data", c.data},
                              {"seen", c.loss},
                              {"predicted", predicted}});
        errors.push_back((predicted - c.loss) / c.loss);
        constant.push_back((lowest - c.loss) / c.loss);
      }
      json["relative_error_rms"] = rms(errors);
      json["constant_relative_error_rms"] = rms(constant);
    } catch (const Error& e) {
      json["why"] = e.what();
    }
    return json;
  }

  Checkpoints points_;
  Axis axis_;
  bool with_data_;
};

void add_dot(Json& to, double x, double y) {
  to["x"].push_back(x);
  for (const auto* key : {"y", "low", "high"})
    to[key].push_back(y);
  to["n"].push_back(1);
}

/// All points of an axis, those of the law by fit or held out, and the law as a line.
Json plot(const Law& law, const Json& fit, const Checkpoints& all, const Axis& axis) {
  constexpr int kLine = 60;
  auto others = series("other checkpoints", 5, "points"), kept = series("fitted", 0, "points");
  auto held_out = series("held out for the extrapolation", 1, "points");
  const auto same = [](const Checkpoint& a, const Checkpoint& b) {
    return a.experiment == b.experiment && a.data == b.data;
  };
  double low = INFINITY, high = 0;
  for (const auto& c : all) {
    const bool of_law =
        std::ranges::any_of(law.points(), [&](const auto& p) { return same(p, c); });
    if (!of_law && axis.x == &Checkpoint::parameters) continue;
    add_dot(!of_law ? others : law.is_held_out(c) ? held_out : kept, c.*axis.x, c.loss);
    low = std::min(low, c.*axis.x);
    high = std::max(high, c.*axis.x);
  }
  Json series_of = Json::array();
  for (auto* one : {&others, &kept, &held_out})
    if (!one->at("x").empty()) series_of.push_back(std::move(*one));
  if (fit.contains("alpha")) {
    auto line = series(fmt::format("E + A x^-{:.3g}", fit.at("alpha").get<double>()), 2, "line");
    const PowerLaw curve{.floor = fit.at("E"), .scale = fit.at("A"), .exponent = fit.at("alpha")};
    for (int i = 0; i <= kLine; ++i) {
      const auto x = low * std::pow(high / low, double(i) / kLine);
      add_dot(line, x, curve.at(x));
    }
    series_of.push_back(std::move(line));
  }
  return series_of;
}

}  // namespace

Json scaling_of(const Json& experiments, const ScalingParams& scaling, Json& figures) {
  if (scaling.metric.empty()) return Json::object();
  Checkpoints all;
  for (const auto& e : experiments)
    add_points(all, e, scaling);
  std::erase_if(all, [](const Checkpoint& c) {
    return !(c.loss > 0) || !(c.parameters > 0) || !(c.data > 0) || !(c.compute > 0);
  });
  Json result{{"metric", scaling.metric}, {"points", Json::array()}, {"laws", Json::array()}};
  for (const auto& c : all)
    result["points"].push_back({{"experiment", c.experiment},
                                {"parameters", c.parameters},
                                {"data", c.data},
                                {"compute", c.compute},
                                {"loss", c.loss},
                                {"last", c.last}});
  if (all.empty()) {
    result["why"] = "no finished run has this metric above 0, with parameters and passes";
    return result;
  }
  for (const auto& axis : kAxes) {
    const Law law(along(all, axis), axis, false);
    result["laws"].push_back(law.fit());
    figures.push_back(figure(fmt::format("scaling-{}", axis.key), "scaling",
                             fmt::format("{} against {}", label_of(scaling.metric), axis.key),
                             axis.label, label_of(scaling.metric),
                             plot(law, result["laws"].back(), all, axis)));
    figures.back()["x"]["log"] = true;
  }
  result["laws"].push_back(Law(all, kAxes[0], true).fit());
  return result;
}

}  // namespace marginalia::comparison
