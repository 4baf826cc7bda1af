// Belief propagation against exact answers: on a tree equal to them, on a loop near them.
#include "factors.h"

#include <cmath>

#include <marginalia/inference/belief_propagation.h>
#include <marginalia/inference/prior.h>

using namespace marginalia;

namespace {

std::vector<double> values(std::int64_t n) {
  const auto t = torch::randn({n}, torch::kDouble);
  return {t.data_ptr<double>(), t.data_ptr<double>() + n};
}

/// A tree of factors: 0 - (0 1 2) - 2 - (2 3) - 3 - (3 4 5), and factors on one variable.
FactorModel tree() {
  FactorModel model{{2, 3, 2, 4, 2, 3}, {}};
  model.factors = {{{0, 1, 2}, values(12)},
                   {{3, 2}, values(8)},
                   {{3, 4, 5}, values(24)},
                   {{1}, values(3)},
                   {{4}, {-INFINITY, 0.5}}};
  model.factors[0].log_values[3] = -INFINITY;
  return model;
}

/// A partial state and the answers to it: [D, K] probabilities.
void check_marginals(const Energy& energy, const torch::Tensor& partial, const Prior& prior,
                     double tolerance) {
  const auto exact = energy.exact()->single_marginals(partial);
  for (std::int64_t i = 0; i < partial.size(0); ++i) {
    if (partial[i].item<std::int64_t>() != kUnknown) continue;
    const auto p = prior.logits[0][i].softmax(0).to(torch::kDouble);
    CHECK((p - exact[i]).abs().max().item<double>() < tolerance);
  }
}

}  // namespace

TEST_CASE("on a tree, belief propagation and the Bethe energy are exact, evidence or not") {
  torch::manual_seed(2);
  for (int trial = 0; trial < 5; ++trial) {
    const test::Factored energy(tree());
    const auto source = loopy_belief_propagation(energy, {.rounds = 8});
    for (const auto& evidence : {std::vector<std::int64_t>{-1, -1, -1, -1, -1, -1},
                                 {-1, 2, -1, -1, -1, 1},
                                 {1, -1, -1, 3, -1, -1}}) {
      const auto partial = torch::tensor(evidence);
      const auto prior = source->of(partial.unsqueeze(0), kLogits | kLogMarginal);
      CHECK(prior.log_marginal.item<double>() ==
            doctest::Approx(energy.exact()->log_sum(partial.unsqueeze(0)).item<double>())
                .epsilon(1e-4));
      check_marginals(energy, partial, prior, 1e-5);
    }
  }
}

TEST_CASE("the propagation of binary pairs and that of any factors agree") {
  torch::manual_seed(3);
  FactorModel loop{{2, 2, 2, 2, 2}, {}};
  for (std::int64_t i = 0; i < 5; ++i) {
    loop.factors.push_back({{i, (i + 1) % 5}, values(4)});
    loop.factors.push_back({{i}, values(2)});
  }
  const test::Factored energy(loop);
  REQUIRE(bool(energy.pairwise()));
  const auto partial = torch::tensor({{-1, -1, -1, -1, -1}, {1, -1, -1, 0, -1}});
  const auto wanted = kLogits | kLogMarginal;
  const auto pairs = belief_propagation_prior(energy, 60)->of(partial, wanted);
  const auto factors = loopy_belief_propagation(energy, {.rounds = 60})->of(partial, wanted);
  CHECK((pairs.log_marginal - factors.log_marginal).abs().max().item<double>() < 1e-4);
  const auto unknown = (partial == kUnknown).unsqueeze(2);
  const auto apart = (pairs.logits.softmax(2) - factors.logits.softmax(2)).abs();
  CHECK(torch::where(unknown, apart, 0.0F).max().item<double>() < 1e-5);
}
