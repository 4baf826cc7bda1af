#pragma once

#include <algorithm>
#include <cmath>

#include <torch/types.h>

/// Split R-hat of a statistic of chains: each is cut in two, and the variance between the halves is
/// held against that within them (Gelman et al. 2013, Bayesian Data Analysis, section 11.4); 1
/// where they agree.  draws: float64 [chains, N], N >= 4.
inline double split_r_hat(const torch::Tensor& draws) {
  const auto n = draws.size(1) / 2;
  const auto halves = torch::cat({draws.slice(1, 0, n), draws.slice(1, n, 2 * n)}, 0);
  const auto within = halves.var(1).mean().item<double>();
  const auto between = halves.mean(1).var(0).item<double>();
  return std::sqrt((double(n - 1) / double(n) * within + between) / std::max(within, 1e-300));
}
