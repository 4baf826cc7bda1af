#include "points.h"

#include <cmath>

#include <torch/types.h>

namespace marginalia::mixture {

Tensor sobol(std::int64_t count, std::int64_t dimension) {
  constexpr std::int64_t kBits = 30;  // of LibTorch's direction numbers
  auto directions = torch::zeros({dimension, kBits}, torch::kLong);
  at::_sobol_engine_initialize_state_(directions, dimension);
  const auto origin = torch::zeros({1, dimension}, torch::kDouble);  // the first point
  if (count == 1) return origin;
  const auto rest = std::get<0>(at::_sobol_engine_draw(
      torch::zeros({dimension}, torch::kLong), count - 1, directions, dimension, 0, at::kDouble));
  return torch::cat({origin, rest});
}

Tensor shifted(const Tensor& points, const Tensor& shift) {
  return (points + shift).frac();
}

Tensor standard_normal(const Tensor& points) {
  constexpr double kEdge = 1e-7;
  return std::sqrt(2.0) * (2 * points.clamp(kEdge, 1 - kEdge) - 1).erfinv();
}

}  // namespace marginalia::mixture
