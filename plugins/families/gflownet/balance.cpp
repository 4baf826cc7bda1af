#include "balance.h"

#include <cmath>

#include <torch/types.h>

#include <marginalia/error.h>

namespace marginalia::gflownet {

namespace {

/// w_ij but for a factor, by j - i of 1..D.
struct PairWeight {
  std::int64_t dimension;
  double operator()(const SubtrajectoryBalance& objective, std::int64_t apart) const {
    return std::pow(objective.lambda, double(apart - 1));  // from 1, which cannot underflow to 0
  }
  double operator()(const DetailedBalance&, std::int64_t apart) const { return apart == 1 ? 1 : 0; }
  double operator()(const TrajectoryBalance&, std::int64_t apart) const {
    return apart == dimension ? 1 : 0;
  }
  double operator()(const LogVariance&, std::int64_t) const {
    throw Error("the log-partition variance holds no pairs");
  }
};

}  // namespace

Tensor pair_weights(const Objective& objective, std::int64_t dimension) {
  auto weights = torch::zeros({dimension + 1, dimension + 1}, torch::kDouble);
  const PairWeight weight{dimension};
  for (std::int64_t i = 0; i < dimension; ++i)
    for (auto j = i + 1; j <= dimension; ++j)
      weights[i][j] =
          std::visit([&](const auto& chosen) { return weight(chosen, j - i); }, objective);
  return weights / weights.sum();
}

Tensor potentials(const Tensor& log_flow, const Tensor& links) {
  const auto before = torch::zeros_like(links.slice(1, 0, 1));
  return log_flow - torch::cat({before, links.cumsum(1)}, 1);
}

Tensor balance(const Tensor& potentials, const Tensor& weights) {
  const auto apart = potentials.unsqueeze(2) - potentials.unsqueeze(1);  // [B, D + 1, D + 1]
  return (apart.square() * weights).sum({1, 2}).mean();
}

Tensor log_variance(const Tensor& log_ratio, const Tensor& mean, std::int64_t rows) {
  if (rows < 2)
    throw marginalia::SpecError("\"log_variance\" needs a \"batch_size\" of 2 at least");
  // The gradient through the mean is zero: log_ratio - mean sums to zero.
  return (log_ratio - mean).square().mean() * (double(rows) / double(rows - 1));
}

}  // namespace marginalia::gflownet
