// Most probable completions against enumeration, by elimination and by search.
#include "factors.h"

#include <cmath>
#include <numeric>
#include <random>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/most_probable.h>
#include <marginalia/inference/tree.h>

#include "inference/exact/allowed_state.h"
#include "inference/exact/and_or_search.h"
#include "inference/exact/elimination_order.h"
#include "inference/exact/local_search.h"
#include "inference/exact/max_marginals.h"
#include "inference/exact/region_search.h"
#include "inference/exact/state_search.h"

using namespace marginalia;
using torch::Tensor;

namespace {

/// Factors of up to three of `variables` variables of up to four values; `zeros`: share of
/// forbidden entries.
FactorModel random_model(std::uint64_t seed, int variables, double zeros) {
  std::mt19937_64 random(seed);
  std::normal_distribution<> normal(0, 1.5);
  std::uniform_real_distribution<> share;
  FactorModel model;
  std::vector<std::int64_t> all;
  for (int i = 0; i < variables; ++i) {
    model.cardinalities.push_back(1 + std::int64_t(random() % 4));
    all.push_back(i);
  }
  for (int a = 0; a < 2 * variables; ++a) {
    std::shuffle(all.begin(), all.end(), random);
    Factor factor{{all.begin(), all.begin() + std::ptrdiff_t(random() % 4)}, {}};
    std::int64_t entries = 1;
    for (const auto i : factor.scope)
      entries *= model.cardinalities[std::size_t(i)];
    for (std::int64_t n = 0; n < entries; ++n)
      factor.log_values.push_back(n > 0 && share(random) < zeros ? -INFINITY : normal(random));
    model.factors.push_back(factor);
  }
  return model;
}

/// Pairs of a square lattice; `zeros`: share of forbidden entries.
FactorModel grid(std::uint64_t seed, std::int64_t side, std::int64_t levels, double zeros) {
  std::mt19937_64 random(seed);
  std::normal_distribution<> normal;
  std::uniform_real_distribution<> share;
  FactorModel model;
  model.cardinalities.assign(std::size_t(side * side), levels);
  const auto join = [&](std::int64_t i, std::int64_t j) {
    Factor factor{{i, j}, {}};
    for (std::int64_t n = 0; n < levels * levels; ++n)
      factor.log_values.push_back(n > 0 && share(random) < zeros ? -INFINITY : normal(random));
    model.factors.push_back(factor);
  };
  for (std::int64_t i = 0; i < side * side; ++i) {
    if (i % side + 1 < side) join(i, i + 1);
    if (i + side < side * side) join(i, i + side);
  }
  return model;
}

/// The greatest log f of the completions of a row, [D].
double greatest(const Energy& energy, const Tensor& partial) {
  const auto states = all_states(energy.space());
  const auto agree = (partial == kUnknown).logical_or(states == partial).all(1);
  return energy.log_density(states.index({agree})).max().item<double>();
}

Tensor random_evidence(const StateSpace& space) {
  const auto x = (torch::rand({space.dimension()}) * torch::tensor(space.cardinalities)).floor();
  return torch::where(torch::rand({space.dimension()}) < 0.25, x, double(kUnknown))
      .to(torch::kLong);
}

/// Asks, and checks the answer against enumeration.
void check_question(const FactorModel& model, const MostProbableSettings& settings,
                    const std::string& method) {
  const test::Factored energy(model);
  const MostProbableStates states(model, settings);
  const auto partial = random_evidence(energy.space());
  const auto truth = greatest(energy, partial);
  if (truth == -INFINITY) {
    CHECK_THROWS_AS(states(partial), ImpossibleGiven);
    return;
  }
  const auto answer = states(partial);
  CHECK(answer.log_density == doctest::Approx(truth).epsilon(1e-12));
  CHECK(answer.upper == answer.log_density);
  CHECK(answer.proved());
  CHECK(answer.method == method);
  CHECK(energy.log_density(answer.state.unsqueeze(0)).item<double>() ==
        doctest::Approx(answer.log_density).epsilon(1e-12));
  CHECK((partial == kUnknown).logical_or(partial == answer.state).all().item<bool>());
}

std::vector<std::vector<std::int64_t>> scopes(const FactorModel& model) {
  std::vector<std::vector<std::int64_t>> all;
  for (const auto& factor : model.factors)
    all.push_back(factor.scope);
  return all;
}

/// Pairs of a complete graph that must differ: a colouring of it.
FactorModel colouring(std::int64_t variables, std::int64_t colours) {
  FactorModel model;
  model.cardinalities.assign(std::size_t(variables), colours);
  std::vector<double> differ(std::size_t(colours * colours), 0.0);
  for (std::int64_t k = 0; k < colours; ++k)
    differ[std::size_t(k * colours + k)] = -INFINITY;
  for (std::int64_t i = 0; i < variables; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      model.factors.push_back({{j, i}, differ});
  return model;
}

/// Clauses of three literals each, over bits.
FactorModel clauses(std::uint64_t seed, std::int64_t variables, int count) {
  std::mt19937_64 random(seed);
  FactorModel model;
  model.cardinalities.assign(std::size_t(variables), 2);
  std::vector<std::int64_t> all(std::size_t(variables), 0);
  std::iota(all.begin(), all.end(), 0);
  for (int c = 0; c < count; ++c) {
    std::shuffle(all.begin(), all.end(), random);
    Factor factor{{all.begin(), all.begin() + 3}, std::vector<double>(8, 0.0)};
    factor.log_values[random() % 8] = -INFINITY;
    model.factors.push_back(factor);
  }
  return model;
}

bool never() {
  return false;
}

}  // namespace

TEST_CASE("the most probable completion is that of enumeration") {
  torch::manual_seed(3);
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    CAPTURE(seed);
    check_question(random_model(seed, 8, seed % 2 ? 0.25 : 0), {}, "max-sum elimination");
  }
}

TEST_CASE("branch and bound proves what enumeration finds, whatever its mini-buckets") {
  std::int64_t parted = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    auto model = random_model(seed + 100, 8, seed % 2 ? 0.1 : 0);
    std::erase_if(model.factors, [](const Factor& factor) { return factor.scope.empty(); });
    const test::Factored energy(model);
    const auto truth = greatest(energy, energy.space().empty()[0]);
    if (truth == -INFINITY) continue;
    const elimination::PseudoTree tree(
        model, whole_order(model.cardinalities, scopes(model), 3).variables);
    for (const double most : {1.0, 4.0, 64.0}) {
      const auto levels = elimination::levelled(model, std::int64_t(seed % 5));
      const elimination::MiniBuckets bounds(levels, tree, most);
      parted += !bounds.is_exact();
      CHECK(bounds.upper() >= truth - 1e-9);
      elimination::AndOrSearch search(levels, tree, bounds, never, 0.01);
      std::vector<std::int64_t> x(8);
      REQUIRE(search.find(-INFINITY, x.data()));
      CHECK(elimination::log_density(model, x) == doctest::Approx(truth).epsilon(1e-10));
      elimination::AndOrSearch again(levels, tree, bounds, never, 0.01);
      CHECK_FALSE(again.find(truth + 1e-6, x.data()));
      CHECK_FALSE(again.stopped());
    }
  }
  CHECK(parted > 60);
}

TEST_CASE("branch and bound that meets contexts again proves what elimination finds") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    const auto model = grid(seed, 6, 3, seed % 3 ? 0 : 0.15);
    const std::vector<std::int64_t> open(model.cardinalities.size(), kUnknown);
    const auto truth = MostProbableStates(model, {})(torch::tensor(open));
    const elimination::PseudoTree tree(
        model, whole_order(model.cardinalities, scopes(model), 3).variables);
    for (const double most : {9.0, 81.0}) {
      const elimination::MiniBuckets bounds(model, tree, most);
      std::vector<std::int64_t> x(open.size());
      for (const double below : {1e300, 0.5, 1e-6}) {
        elimination::AndOrSearch search(model, tree, bounds, never, 0.01);
        REQUIRE(search.find(truth.log_density - below, x.data()));
        CHECK(elimination::log_density(model, x) ==
              doctest::Approx(truth.log_density).epsilon(1e-10));
        CHECK_FALSE(search.find(truth.log_density + 1e-6, x.data()));
      }
    }
  }
}

TEST_CASE("without memory for messages the search proves the same states") {
  torch::manual_seed(4);
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    auto model = random_model(seed, 9, seed % 3 ? 0 : 0.2);
    for (std::int64_t i = 1; i < 9; ++i)  // connected, so that search has to be
      model.factors.push_back(
          {{i - 1, i},
           std::vector<double>(std::size_t(model.cardinalities[std::size_t(i)] *
                                           model.cardinalities[std::size_t(i - 1)]),
                               0.1)});
    const test::Factored energy(model);
    const auto empty = energy.space().empty()[0];
    const auto truth = greatest(energy, empty);
    if (truth == -INFINITY) continue;
    const auto answer = MostProbableStates(model, {.memory = 1e-12, .seconds = 20})(empty);
    CHECK(answer.log_density == doctest::Approx(truth).epsilon(1e-12));
    CHECK(answer.proved());
  }
}

TEST_CASE("a search that ends too soon says what no state exceeds") {
  std::mt19937_64 random(1);
  std::normal_distribution<> normal;
  FactorModel glass;
  glass.cardinalities.assign(60, 2);
  for (std::int64_t i = 0; i < 60; ++i)
    for (std::int64_t j = 0; j < i; ++j) {
      const auto w = normal(random);
      glass.factors.push_back({{j, i}, {w, -w, -w, w}});
    }
  const test::Factored energy(glass);
  const auto answer =
      MostProbableStates(glass, {.memory = 0.01, .seconds = 0.5})(energy.space().empty()[0]);
  CHECK(answer.method == "search");
  CHECK_FALSE(answer.proved());
  CHECK(answer.upper > answer.log_density);
  CHECK(energy.log_density(answer.state.unsqueeze(0)).item<double>() ==
        doctest::Approx(answer.log_density));
  for (const auto i : {0, 20, 40}) {  // no change of one spin is better
    auto changed = answer.state.clone();
    changed[i] = 1 - changed[i];
    CHECK(energy.log_density(changed.unsqueeze(0)).item<double>() <= answer.log_density);
  }
}

TEST_CASE("a state that no factor forbids is found where there is one") {
  std::vector<std::int64_t> x(7, 0);
  CHECK(elimination::AllowedState(colouring(7, 7), 1).find(x.data(), never));
  CHECK(elimination::log_density(colouring(7, 7), x) == 0);
  CHECK_FALSE(elimination::AllowedState(colouring(7, 6), 1).find(x.data(), never));
  std::int64_t possible = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {  // near where half of them have none
    CAPTURE(seed);
    const auto model = clauses(seed, 14, 60);
    const test::Factored energy(model);
    const bool any = greatest(energy, energy.space().empty()[0]) == 0;
    std::vector<std::int64_t> state(14, 0);
    CHECK(elimination::AllowedState(model, seed).find(state.data(), never) == any);
    if (any) CHECK(elimination::log_density(model, state) == 0);
    possible += any;
  }
  CHECK((possible > 3 && possible < 27));
  const test::Factored energy(colouring(4, 3));
  const MostProbableStates states(colouring(4, 3), {.memory = 1e-12, .seconds = 10});
  CHECK_THROWS_AS(states(energy.space().empty()[0]), ImpossibleGiven);
}

TEST_CASE("local search says log f of the state that it leaves") {
  const auto model = random_model(9, 12, 0.1);
  std::vector<std::int64_t> x(12, 0);
  const auto value = elimination::LocalSearch(model, 1).improve(x.data(), 2000, INFINITY, never);
  CHECK(value == doctest::Approx(elimination::log_density(model, x)));
}

TEST_CASE(
    "regions that are eliminated exactly leave no state worse, and the best where they are all") {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const auto model = grid(seed, 6, 3, 0);
    const std::vector<std::int64_t> open(model.cardinalities.size(), kUnknown);
    const auto truth = MostProbableStates(model, {})(torch::tensor(open)).log_density;
    std::vector<std::int64_t> x(open.size(), 0);
    auto value = elimination::log_density(model, x);
    elimination::RegionSearch regions(model, seed);
    for (int step = 0; step < 60; ++step) {
      int calls = 0;
      regions.improve(x, [&] { return ++calls > 2; });
      const auto next = elimination::log_density(model, x);
      CHECK(next >= value - 1e-12);
      value = next;
    }
    CHECK(value == doctest::Approx(truth).epsilon(1e-12));  // a region is the whole in the end
  }
}

TEST_CASE("levelled factors keep their sum, and come closer to its maximum") {
  const auto model = random_model(12, 8, 0);
  const auto levels = elimination::levelled(model, 20);
  const test::Factored energy(model), same(levels);
  const auto states = all_states(energy.space());
  CHECK(torch::allclose(energy.log_density(states), same.log_density(states), 1e-10, 1e-10));
  CHECK(elimination::sum_of_maxima(levels) < elimination::sum_of_maxima(model));
  CHECK(elimination::sum_of_maxima(levels) >= energy.log_density(states).max().item<double>());
}

TEST_CASE("the most probable completion of a tree is that of enumeration") {
  torch::manual_seed(5);
  const std::int64_t D = 6, K = 3;
  trees::Tree tree{torch::tensor({-1, 0, 0, 1, -1, 4}, torch::kLong), torch::arange(D),
                   torch::rand({D, K, K}, torch::kDouble).pow(3)};
  tree.p /= tree.p.sum(2, true);
  tree.p[0] = tree.p[0][0].expand({K, K}).clone();
  tree.p[4] = tree.p[4][0].expand({K, K}).clone();
  const auto space = StateSpace::uniform(D, K);
  const auto states = all_states(space);
  const auto log_p = trees::log_marginal(tree, states);
  for (int n = 0; n < 40; ++n) {
    const auto partial = random_evidence(space);
    const auto agree = (partial == kUnknown).logical_or(states == partial).all(1);
    const auto best = trees::most_probable(tree, partial.unsqueeze(0));
    CHECK((partial == kUnknown).logical_or(partial == best[0]).all().item<bool>());
    CHECK(trees::log_marginal(tree, best).item<double>() ==
          doctest::Approx(log_p.index({agree}).max().item<double>()));
    CHECK(trees::log_greatest(tree, partial.unsqueeze(0)).item<double>() ==
          doctest::Approx(log_p.index({agree}).max().item<double>()));
  }
}
