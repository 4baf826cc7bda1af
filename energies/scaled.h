#pragma once

#include <cmath>

#include <torch/types.h>

#include <marginalia/energy.h>

/// weight * log f; what is forbidden (-inf) stays forbidden, whatever the weight.
inline marginalia::Tensor scaled(const marginalia::Tensor& log_f, double weight) {
  return torch::where(log_f == -INFINITY, log_f, weight * log_f);
}

/// A score where f has become f^weight: what was wanted of it is wanted that much more.
inline marginalia::Score scaled(marginalia::Score score, double weight) {
  if (score.spread && weight > 0)
    score.spread = *score.spread / std::sqrt(weight);
  else
    score.spread.reset();
  return score;
}
