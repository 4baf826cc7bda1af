#include "balance.h"

#include <cmath>

#include <torch/types.h>

#include <marginalia/error.h>

namespace marginalia::gflownet {

Tensor pair_weights(const std::string& objective, std::int64_t dimension, double lambda) {
  auto weights = torch::zeros({dimension + 1, dimension + 1}, torch::kDouble);
  const bool whole = objective == "trajectory_balance", links = objective == "detailed_balance";
  for (std::int64_t i = 0; i < dimension; ++i)
    for (auto j = i + 1; j <= dimension; ++j)
      if ((!whole || j - i == dimension) && (!links || j - i == 1))
        weights[i][j] = std::pow(lambda, double(j - i - 1));  // from 1, which cannot underflow to 0
  if (whole) weights[0][dimension] = 1;
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

Tensor log_variance(const Tensor& log_density, const Tensor& links) {
  if (links.size(0) < 2)
    throw marginalia::SpecError("\"log_variance\" needs a \"batch_size\" of 2 at least");
  return (log_density - links).var();
}

}  // namespace marginalia::gflownet
