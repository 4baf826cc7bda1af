#include <marginalia/energy.h>
#include <marginalia/error.h>
#include <marginalia/inference/single_changes.h>

#include "../contracts/contracts.h"
#include "marginalia_test.h"

using namespace marginalia;

TEST_CASE("conditionals by single changes are the local ones, at the evaluations they need") {
  for (const auto* spec : {R"({"type": "ising", "side": 3, "coupling": 0.4, "field": 0.2})",
                           R"({"type": "potts", "side": 3, "states": 4, "coupling": 0.7})"}) {
    CAPTURE(std::string(spec));
    const auto energy = test::make<Energy>(spec);
    const auto D = energy->space().dimension(), K = energy->space().levels();
    auto x = torch::randint(K, {5, D}, torch::kLong);
    x[3] = x[0];  // a row that is there already
    MeteredEnergy metered(*energy);
    CHECK(test::close(conditionals_by_changes(metered, x), energy->local()->logits(x).softmax(2),
                      1e-5));
    CHECK(metered.evaluations() == 4 * (1 + D * (K - 1)));
    metered.set_inverse_temperature(0.5);
    CHECK(test::close(conditionals_by_changes(metered, x),
                      (0.5 * energy->local()->logits(x)).softmax(2), 1e-5));
  }
}

TEST_CASE("single changes of variables with fewer values take no others") {
  const auto energy = test::make<Energy>(
      R"({"type": "max_independent_set", "vertices": 3, "edges": ["1 2", "2 3"]})");
  MeteredEnergy metered(*energy);
  const auto p = conditionals_by_changes(metered, torch::zeros({1, 3}, torch::kLong));
  CHECK(test::close(p.sum(2), torch::ones({1, 3}), 1e-6));
  CHECK(test::refusal([&] {
          conditionals_by_changes(metered, torch::ones({1, 3}, torch::kLong));
        }).find("met a state that the energy forbids") != std::string::npos);
}
