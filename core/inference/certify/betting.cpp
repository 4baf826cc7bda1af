#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "betting.h"

namespace marginalia {
namespace {

constexpr double kNothing = -INFINITY;
constexpr std::size_t kBets = 24;
constexpr int kHalvings = 40;    // of the interval in log m: to its 1e-12th part
constexpr double kKept = 0.25;   // of the stake, for later beginnings
constexpr double kLarge = 1e80;  // a factor above it is taken to the logarithm by itself

struct Bets {
  std::array<double, kBets> lambda, log_weight;
  Bets() {
    double total = 0;
    for (std::size_t j = 0; j < kBets; ++j)
      total += 1 / double(j + 1);
    for (std::size_t j = 0; j < kBets; ++j) {
      lambda[j] = std::exp2(-0.5 * double(j));
      log_weight[j] = -std::log(double(j + 1) * total);
    }
  }
};
const Bets& bets() {
  static const Bets all;
  return all;
}

double log_sum_exp(const std::vector<double>& values) {
  const auto highest = *std::ranges::max_element(values);
  if (highest == kNothing) return kNothing;
  double sum = 0;
  for (const auto value : values)
    sum += std::exp(value - highest);
  return highest + std::log(sum);
}

}  // namespace

void BettingBound::add(double log_x) {
  if (std::isnan(log_x) || log_x == INFINITY)
    throw Error(fmt::format("a betting bound takes log X, finite or -inf, not {}", log_x));
  log_x_.push_back(log_x);
}

void BettingBound::restart() {
  if (starts_.back() != log_x_.size()) starts_.push_back(log_x_.size());
}

std::size_t BettingBound::last_start() const {
  const auto last = starts_.back();
  return last < log_x_.size() || starts_.size() == 1 ? last : starts_[starts_.size() - 2];
}

double BettingBound::log_mean_since(std::size_t first) const {
  if (first >= log_x_.size()) return kNothing;
  return log_sum_exp({log_x_.begin() + std::ptrdiff_t(first), log_x_.end()}) -
         std::log(double(log_x_.size() - first));
}

double BettingBound::log_mean() const {
  return log_mean_since(last_start());
}

/// log W_N(m), over the stakes that have been begun; what is kept for others is cash.
double BettingBound::log_wealth(double log_m) const {
  std::vector<double> parts;
  double kept = kKept;
  for (std::size_t k = 0; k < starts_.size(); ++k) {
    const auto stake = k == 0 ? 1 - kKept : kept / 2;
    if (k > 0) kept -= stake;
    parts.push_back(std::log(stake) + log_wealth_since(starts_[k], log_m));
  }
  parts.push_back(std::log(kept));
  return log_sum_exp(parts);
}

/// Factors are multiplied up, and taken to the logarithm before they leave the range.
double BettingBound::log_wealth_since(std::size_t first, double log_m) const {
  std::vector<double> ratios;
  ratios.reserve(log_x_.size() - first);
  std::vector<double> wealth(bets().log_weight.begin(), bets().log_weight.end());
  for (auto n = first; n < log_x_.size(); ++n) {
    const auto log_ratio = log_x_[n] - log_m;
    if (log_ratio < std::log(kLarge)) {
      ratios.push_back(std::exp(log_ratio) - 1);
    } else {
      for (std::size_t j = 0; j < kBets; ++j)
        wealth[j] += std::log(bets().lambda[j]) + log_ratio;
    }
  }
  for (std::size_t j = 0; j < kBets; ++j) {
    const auto lambda = bets().lambda[j];
    double product = 1;
    for (const auto ratio : ratios) {
      product *= 1 + lambda * ratio;
      if (product > kLarge || product < 1 / kLarge) {
        wealth[j] += std::log(product);
        product = 1;
      }
      if (wealth[j] == kNothing) break;  // all was bet on X > 0
    }
    wealth[j] += std::log(product);
  }
  return log_sum_exp(wealth);
}

double BettingBound::log_lower(double delta) {
  if (delta != delta_) {
    delta_ = delta;
    best_ = kNothing;
  }
  const auto needed = -std::log(delta);
  auto high = kNothing;  // W <= 1 at the mean of what a stake was bet on, as log(1 + y) <= y
  for (const auto first : starts_)
    high = std::max(high, log_mean_since(first));
  if (high == kNothing || high <= best_) return best_;
  // W(m) >= pi_0 X_max / m for the bet of all on one, so that a bound exists below this.
  auto low = best_;
  if (low == kNothing) {
    low = high - 1;
    while (log_wealth(low) < needed && high - low < 1e6)
      low = high - 2 * (high - low);
    if (log_wealth(low) < needed) return best_;
  } else if (log_wealth(low) < needed) {
    return best_;
  }
  for (int n = 0; n < kHalvings && high - low > 1e-9; ++n) {
    const auto middle = low + (high - low) / 2;
    (log_wealth(middle) >= needed ? low : high) = middle;
  }
  return best_ = low;
}

}  // namespace marginalia
