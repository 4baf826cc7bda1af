#pragma once

#include "marginalia_test.h"

#include <marginalia/factored_energy.h>

namespace marginalia::test {

/// A density whose factors are what they are.
class Factored final : public FactoredEnergy {
 public:
  explicit Factored(const FactorModel& model, double memory = 1)
      : FactoredEnergy(model, {model.cardinalities, {std::int64_t(model.cardinalities.size())}},
                       memory) {}
};

}  // namespace marginalia::test
