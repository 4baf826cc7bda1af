#pragma once

#include <cmath>

#include <torch/types.h>

#include <marginalia/energy.h>

/// weight * log f; what is forbidden (-inf) stays forbidden, whatever the weight.
inline marginalia::Tensor scaled(const marginalia::Tensor& log_f, double weight) {
  return torch::where(log_f == -INFINITY, log_f, weight * log_f);
}

/// The same of every factor.
inline marginalia::FactorModel scaled(marginalia::FactorModel model, double weight) {
  for (auto& factor : model.factors)
    for (auto& value : factor.log_values)
      if (value != -INFINITY) value *= weight;
  return model;
}
