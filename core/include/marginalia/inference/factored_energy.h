#pragma once

#include <memory>
#include <string>
#include <vector>

#include <marginalia/energy.h>
#include <marginalia/inference/elimination.h>

namespace marginalia {

/// A density given by its factors, with all that follows from them: local conditionals, colours,
/// pairwise factors where no factor has more than two variables, and exact answers by elimination
/// where the graph is narrow. A new energy builds its FactorModel and derives from this.
class MARGINALIA_API FactoredEnergy : public Energy, private LocalConditionals {
 public:
  ~FactoredEnergy() override;
  const StateSpace& space() const override { return space_; }
  Offer<LocalConditionals> local() const override { return {this}; }
  Offer<PairwiseFactors> pairwise() const override;
  Offer<FactorModel> factors() const override { return {&model_}; }
  Offer<Oracle> exact() const override { return elimination_.oracle(model_, space_); }

 protected:
  /// memory: GiB that exact answers may take.
  FactoredEnergy(FactorModel model, StateSpace space, double memory);

 private:
  Tensor compute_log_density(const Tensor& x) const override { return known_part(x); }
  Tensor logits(const Tensor& partial) const override;
  Tensor known_part(const Tensor& partial) const override;
  const Tensor& colours() const override { return colours_; }

  struct Flat;  // the factors again, laid out for the loops
  FactorModel model_;
  StateSpace space_;
  std::unique_ptr<Flat> flat_;
  Tensor colours_;
  PairwiseFactors pairwise_;
  std::string not_pairwise_;  // why
  ByElimination elimination_;
};

}  // namespace marginalia
