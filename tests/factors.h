#pragma once

#include "marginalia_test.h"

#include <marginalia/inference/factored_energy.h>

namespace marginalia::test {

/// A density whose factors are what they are.
class Factored : public FactoredEnergy {
 public:
  explicit Factored(const FactorModel& model, double memory = 1)
      : FactoredEnergy(model, {model.cardinalities, {std::int64_t(model.cardinalities.size())}},
                       memory) {}
};

/// An energy with its local conditionals alone, so that the general way is taken.
class Unfactored final : public Energy {
 public:
  explicit Unfactored(std::shared_ptr<Energy> of) : of_(std::move(of)) {}
  const StateSpace& space() const override { return of_->space(); }
  Offer<LocalConditionals> local() const override { return of_->local(); }

 private:
  Tensor compute_log_density(const Tensor& x) const override { return of_->log_density(x); }
  std::shared_ptr<Energy> of_;
};

}  // namespace marginalia::test
