#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace marginalia {

/// One factor phi_a of a density: a table over the variables of its scope.
struct Factor {
  std::vector<std::int64_t> scope;  ///< different variables, possibly none
  std::vector<double> log_values;   ///< nats, the last variable of the scope fastest; -inf forbids
};

/// A density made of factors on any number of variables,  log f(x) = sum_a phi_a(x_a):
/// what elimination (elimination.h) and belief propagation need.
struct FactorModel {
  std::vector<std::int64_t> cardinalities;  ///< K_i [D]
  std::vector<Factor> factors;
};

/// weight log f; what is forbidden stays forbidden, whatever the weight.
inline FactorModel scaled(FactorModel model, double weight) {
  for (auto& factor : model.factors)
    for (auto& value : factor.log_values)
      if (std::isfinite(value)) value *= weight;
  return model;
}

}  // namespace marginalia
