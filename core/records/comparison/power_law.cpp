#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <boost/math/tools/minima.hpp>

#include <marginalia/error.h>

#include "statistics.h"

namespace marginalia {
namespace {

constexpr double kMinExponent = 0.01, kMaxExponent = 4;
constexpr int kGrid = 24;          // exponents tried before the search is refined
constexpr std::size_t kTerms = 3;  // E, A, B

using Regressor = std::vector<double>;
using Coefficients = std::array<double, kTerms>;

/// Solves the normal equations of `columns` (those of `active`) for a target of ones; false when
/// they are singular.
bool solve(const std::vector<Regressor>& columns, const std::vector<std::size_t>& active,
           Coefficients& result) {
  const auto n = active.size();
  std::array<std::array<double, kTerms + 1>, kTerms> m{};
  for (std::size_t i = 0; i < n; ++i) {
    const auto& left = columns[active[i]];
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t r = 0; r < left.size(); ++r)
        m[i][j] += left[r] * columns[active[j]][r];
    for (const auto value : left)
      m[i][n] += value;
  }
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i)
    largest = std::max(largest, m[i][i]);
  for (std::size_t i = 0; i < n; ++i) {  // Gauss and Jordan, with pivots
    auto pivot = i;
    for (auto row = i + 1; row < n; ++row)
      if (std::abs(m[row][i]) > std::abs(m[pivot][i])) pivot = row;
    if (!(std::abs(m[pivot][i]) > 1e-13 * largest)) return false;
    std::swap(m[i], m[pivot]);
    for (std::size_t row = 0; row < n; ++row) {
      if (row == i) continue;
      const auto factor = m[row][i] / m[i][i];
      for (auto column = i; column <= n; ++column)
        m[row][column] -= factor * m[i][column];
    }
  }
  result = {};
  for (std::size_t i = 0; i < n; ++i)
    result[active[i]] = m[i][n] / m[i][i];
  return true;
}

double squares(const std::vector<Regressor>& columns, const Coefficients& c) {
  double sum = 0;
  for (std::size_t r = 0; r < columns[0].size(); ++r) {
    double off = -1;
    for (std::size_t k = 0; k < columns.size(); ++k)
      off += c[k] * columns[k][r];
    sum += off * off;
  }
  return sum;
}

/// The best coefficients >= 0: with three of them, every subset that is not 0 is tried.
double best_coefficients(const std::vector<Regressor>& columns, Coefficients& best) {
  double least = INFINITY;
  for (std::size_t subset = 1; subset < std::size_t{1} << columns.size(); ++subset) {
    std::vector<std::size_t> active;
    for (std::size_t k = 0; k < columns.size(); ++k)
      if (subset >> k & 1) active.push_back(k);
    Coefficients c;
    if (!solve(columns, active, c) || std::ranges::any_of(c, [](double v) { return v < 0; }))
      continue;
    if (const auto sum = squares(columns, c); sum < least) {
      least = sum;
      best = c;
    }
  }
  return least;
}

/// A fit to given points; x and D are scaled to a geometric mean of 1, for the sake of the
/// equations' condition.
class Fit {
 public:
  Fit(const std::vector<LossPoint>& points, bool with_data)
      : points_(points), with_data_(with_data) {
    for (const auto& point : points) {
      log_x_ += std::log(point.x) / double(points.size());
      if (with_data) log_data_ += std::log(point.data) / double(points.size());
    }
  }

  double objective(double alpha, double beta, Coefficients* into = nullptr) const {
    std::vector<Regressor> columns(with_data_ ? 3 : 2);
    for (const auto& [x, data, loss] : points_) {  // relative errors: each row over its loss
      columns[0].push_back(1 / loss);
      columns[1].push_back(std::exp(-alpha * (std::log(x) - log_x_)) / loss);
      if (with_data_) columns[2].push_back(std::exp(-beta * (std::log(data) - log_data_)) / loss);
    }
    Coefficients c{};
    const auto sum = best_coefficients(columns, c);
    if (into) *into = c;
    return sum;
  }

  PowerLaw law(double alpha, double beta) const {
    Coefficients c{};
    const auto sum = objective(alpha, beta, &c);
    PowerLaw law{.floor = c[0],
                 .scale = c[1] * std::exp(alpha * log_x_),
                 .exponent = alpha,
                 .residual = std::sqrt(sum / double(points_.size()))};
    if (with_data_) {
      law.data_scale = c[2] * std::exp(beta * log_data_);
      law.data_exponent = beta;
    }
    return law;
  }

 private:
  const std::vector<LossPoint>& points_;
  bool with_data_;
  double log_x_ = 0, log_data_ = 0;
};

/// Exponents on a grid that is even in their logarithm.
double of_grid(int i) {
  return kMinExponent * std::pow(kMaxExponent / kMinExponent, double(i) / (kGrid - 1));
}

/// The minimum of f on [kMinExponent, kMaxExponent]: the best of the grid, refined between its
/// neighbours.
template <class F>
double minimise(const F& f) {
  int best = 0;
  double least = INFINITY;
  for (int i = 0; i < kGrid; ++i)
    if (const auto value = f(of_grid(i)); value < least) {
      least = value;
      best = i;
    }
  const auto low = of_grid(std::max(0, best - 1)), high = of_grid(std::min(kGrid - 1, best + 1));
  return boost::math::tools::brent_find_minima(f, low, high, 40).first;
}

void check(const std::vector<LossPoint>& points, bool with_data) {
  std::set<double> x, data;
  for (const auto& point : points) {
    if (!(point.loss > 0) || !(point.x > 0) || (with_data && !(point.data > 0)))
      throw Error("a power law needs losses and sizes above 0");
    x.insert(point.x);
    data.insert(point.data);
  }
  if (x.size() < 3 || (with_data && data.size() < 3))
    throw Error("a power law needs at least three different sizes");
}

}  // namespace

double PowerLaw::at(double x, double data) const {
  return floor + scale * std::pow(x, -exponent) +
         (data_scale > 0 ? data_scale * std::pow(data, -data_exponent) : 0);
}

PowerLaw fit_power_law(const std::vector<LossPoint>& points, bool with_data) {
  check(points, with_data);
  const Fit fit(points, with_data);
  if (!with_data) return fit.law(minimise([&](double a) { return fit.objective(a, 0); }), 0);
  const auto beta_at = [&](double alpha) {
    return minimise([&](double beta) { return fit.objective(alpha, beta); });
  };
  const auto alpha = minimise([&](double a) { return fit.objective(a, beta_at(a)); });
  return fit.law(alpha, beta_at(alpha));
}

}  // namespace marginalia
