/// \file
/// A model whose quality is a number: conditionals that see known neighbours alone, and lean.
#pragma once

#include "marginalia_test.h"

#include <ATen/CPUGeneratorImpl.h>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>

namespace marginalia::test {

/// log p(x_i | x_S) from the factors whose other variables are known, plus `noise` times a fixed
/// Gaussian a value; log-marginals in one pass that are the truth, or 0 where none is given, and
/// `offset` more for every unknown variable.
class Leaning final : public Family {
 public:
  double noise = 0, offset = 0;
  const Oracle* truth = nullptr;

  explicit Leaning(const Energy& energy) : energy_(energy) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{12});
    bend_ = torch::randn({space().dimension(), space().levels()}, generator);
  }
  const StateSpace& space() const override { return energy_.space(); }
  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_conditionals();
    all.insert(all.begin(),
               {QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass});
    return all;
  }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

  Tensor log_conditionals(const Tensor& partial) const {
    return (energy_.local()->logits(partial) + noise * bend_).log_softmax(2);
  }

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override {
    const bool one_pass = query.kind == QueryKind::kLogMarginal && query.estimator == "one_pass";
    if (one_pass) {
      const auto wrong = offset * (query.partial == kUnknown).sum(1).to(torch::kDouble);
      return {.value = truth ? wrong + truth->log_marginal(query.partial) : wrong, .passes = 1};
    }
    return answer_from_conditionals([this](const Tensor& s) { return log_conditionals(s); }, query,
                                    stream);
  }
  const Energy& energy_;
  Tensor bend_;
};

}  // namespace marginalia::test
