#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/prior.h>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// Largest errors of a prior against enumeration, over the rows of `partial`.
struct Errors {
  double log_marginal, probability;
};
Errors measure_errors(const PriorSource& prior, const Oracle& exact, const Tensor& partial) {
  const auto p = prior.of(partial, kLogits | kLogMarginal);
  const auto truth = exact.log_sum(partial);
  Errors errors{(p.log_marginal.to(torch::kDouble) - truth).abs().max().item<double>(), 0};
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    const auto marginals = exact.single_marginals(partial[b]);
    const auto unknown = (partial[b] == kUnknown).nonzero().squeeze(1);
    if (unknown.numel() == 0) continue;
    const auto difference =
        p.logits[b].softmax(1).to(torch::kDouble).index({unknown}) - marginals.index({unknown});
    errors.probability = std::max(errors.probability, difference.abs().max().item<double>());
  }
  return errors;
}

Tensor random_partials(const StateSpace& space, std::int64_t rows, double known) {
  const auto x = torch::randint(2, {rows, space.dimension()}, torch::kLong);
  return x.masked_fill(torch::rand({rows, space.dimension()}) > known, kUnknown);
}

}  // namespace

TEST_CASE("belief propagation is exact on a chain, for any evidence") {
  torch::manual_seed(0);
  const auto energy = test::make<Energy>(
      R"({"type": "ising", "sides": [12], "boundary": "open", "coupling": 0.7, "field": -0.3})");
  const EnumerationOracle exact(*energy);
  const auto prior = belief_propagation_prior(*energy, 12);
  for (const double known : {0.0, 0.3, 0.8, 1.0}) {
    const auto errors = measure_errors(*prior, exact, random_partials(energy->space(), 20, known));
    CAPTURE(known);
    CHECK(errors.log_marginal < 5e-5);  // float32 sums of a dozen terms
    CHECK(errors.probability < 1e-5);
  }
}

TEST_CASE("on a lattice belief propagation is exact where it says so, and close elsewhere") {
  torch::manual_seed(1);
  const auto energy =
      test::make<Energy>(R"({"type": "ising", "side": 4, "coupling": 0.2, "field": 0.2})");
  const EnumerationOracle exact(*energy);
  const auto prior = belief_propagation_prior(*energy, 8);
  const auto partial = random_partials(energy->space(), 200, 0.6);
  const auto p = prior->of(partial, kLogits | kLogMarginal);
  const auto error = (p.log_marginal.to(torch::kDouble) - exact.log_sum(partial)).abs();
  const auto certain = p.uncertain.sum(1) == 0;
  CHECK(certain.sum().item<std::int64_t>() > 50);
  CHECK(error.index({certain}).max().item<double>() < 1e-4);
  CHECK(error.max().item<double>() < 0.05);
  const auto empty = prior->of(energy->space().empty(), kLogits | kLogMarginal);
  CHECK(std::abs(empty.log_marginal.item<double>() - exact.log_z()) < 0.05);
  CHECK(empty.uncertain.eq(1).all().item<bool>());  // everything lies on a loop
}

TEST_CASE("the local prior is exact where no two unknown variables are neighbours") {
  const auto energy =
      test::make<Energy>(R"({"type": "ising", "side": 4, "coupling": 0.9, "field": 0.1})");
  const EnumerationOracle exact(*energy);
  auto partial = torch::randint(2, {16, 16}, torch::kLong);
  for (const auto site : {0, 2, 5, 7, 8, 10, 13, 15})  // one colour of the checkerboard
    partial.select(1, site).fill_(kUnknown);
  const auto errors = measure_errors(*local_prior(*energy), exact, partial);
  CHECK(errors.log_marginal < 1e-4);
  CHECK(errors.probability < 1e-5);
}
