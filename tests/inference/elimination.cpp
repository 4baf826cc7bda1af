// Variable elimination against enumeration, on random factors of all kinds.
#include "factors.h"

#include <cmath>
#include <numeric>
#include <random>

#include <ATen/Parallel.h>

#include <marginalia/inference/enumeration.h>

#include "inference/exact/elimination_order.h"

using namespace marginalia;
using torch::Tensor;

namespace {

/// Factors of up to three variables, mixed cardinalities; `zeros`: share of forbidden entries.
FactorModel random_model(std::uint64_t seed, double zeros, double strength = 1.5) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::int64_t n) { return std::int64_t(random() % std::uint64_t(n)); };
  std::normal_distribution<> normal(0, strength);
  FactorModel model;
  for (int i = 0; i < 8; ++i)
    model.cardinalities.push_back(1 + below(3));
  for (int a = 0; a < 14; ++a) {
    std::vector<std::int64_t> all(8);
    std::iota(all.begin(), all.end(), 0);
    std::shuffle(all.begin(), all.end(), random);
    Factor factor{{all.begin(), all.begin() + below(4)}, {}};
    std::int64_t entries = 1;
    for (const auto i : factor.scope)
      entries *= model.cardinalities[std::size_t(i)];
    for (std::int64_t n = 0; n < entries; ++n)
      factor.log_values.push_back(n > 0 && double(below(1000)) < 1000 * zeros ? -INFINITY
                                                                              : normal(random));
    model.factors.push_back(factor);
  }
  return model;
}

/// Factors of three of ten variables, so many that messages have thousands of entries; `zeros`:
/// share of forbidden entries.
FactorModel dense_model(std::uint64_t seed, double zeros) {
  std::mt19937_64 random(seed);
  std::normal_distribution<> normal(0, 1.5);
  std::uniform_real_distribution<> share;
  FactorModel model;
  for (int i = 0; i < 10; ++i)
    model.cardinalities.push_back(2 + i % 3);
  std::vector<std::int64_t> all(10);
  std::iota(all.begin(), all.end(), 0);
  for (int a = 0; a < 30; ++a) {
    std::shuffle(all.begin(), all.end(), random);
    Factor factor{{all.begin(), all.begin() + 3}, {}};
    std::int64_t entries = 1;
    for (const auto i : factor.scope)
      entries *= model.cardinalities[std::size_t(i)];
    for (std::int64_t n = 0; n < entries; ++n)
      factor.log_values.push_back(n > 0 && share(random) < zeros ? -INFINITY : normal(random));
    model.factors.push_back(factor);
  }
  return model;
}

Tensor random_partial(const StateSpace& space, std::int64_t rows) {
  const auto cardinalities = torch::tensor(space.cardinalities);
  const auto x = (torch::rand({rows, space.dimension()}) * cardinalities).floor().to(torch::kLong);
  return torch::where(torch::rand(x.sizes()) < torch::rand({rows, 1}), x, kUnknown);
}

void check_equal(const Tensor& a, const Tensor& b, double tolerance) {
  const auto same = (a == b).logical_or((a - b).abs() < tolerance);
  CHECK(same.all().item<bool>());
}

}  // namespace

TEST_CASE("elimination sums what enumeration sums") {
  torch::manual_seed(1);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const test::Factored energy(random_model(seed, seed % 2 ? 0.2 : 0));
    const EnumerationOracle truth(energy);
    const auto oracle = energy.exact();
    REQUIRE(bool(oracle));
    const auto partial = random_partial(energy.space(), 20);
    check_equal(oracle->log_sum(partial), truth.log_sum(partial), 1e-10);
    if (!std::isfinite(truth.log_z())) continue;
    CHECK(oracle->log_z() == doctest::Approx(truth.log_z()).epsilon(1e-12));
    check_equal(oracle->single_marginals(energy.space().empty()[0]),
                truth.single_marginals(energy.space().empty()[0]), 1e-12);
    const auto row = partial[0];
    if (std::isfinite(truth.log_sum(partial)[0].item<double>()))
      check_equal(oracle->single_marginals(row), truth.single_marginals(row), 1e-12);
  }
}

TEST_CASE("elimination keeps what strong factors leave, by logs where values would underflow") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    auto model = random_model(seed, seed % 2 ? 0.2 : 0, seed % 3 ? 600 : 80);
    for (std::size_t a = 0; a < model.factors.size(); a += 2)  // mild ones between
      for (auto& value : model.factors[a].log_values)
        if (std::isfinite(value)) value /= 400;
    CAPTURE(seed);
    const test::Factored energy(model);
    const EnumerationOracle truth(energy);
    if (!std::isfinite(truth.log_z())) continue;
    const auto empty = energy.space().empty()[0];
    const auto oracle = energy.exact();
    check_equal(oracle->single_marginals(empty), truth.single_marginals(empty), 1e-10);
    CHECK(oracle->log_z() == doctest::Approx(truth.log_z()).epsilon(1e-12));
    Streams streams(seed);
    const auto x = oracle->sample(energy.space().empty().expand({20, -1}), streams.at("test"));
    CHECK(truth.log_sum(x).isfinite().all().item<bool>());
  }
}

TEST_CASE("elimination over separators of many blocks sums what enumeration sums") {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    const test::Factored energy(dense_model(seed, seed % 2 ? 0.3 : 0));
    const EnumerationOracle truth(energy);
    const auto oracle = energy.exact();
    auto partial = energy.space().empty()[0];
    CHECK(oracle->log_z() == doctest::Approx(truth.log_z()).epsilon(1e-12));
    check_equal(oracle->single_marginals(partial), truth.single_marginals(partial), 1e-12);
    partial[3] = 0;
    if (std::isfinite(truth.log_sum(partial.unsqueeze(0)).item<double>()))
      check_equal(oracle->single_marginals(partial), truth.single_marginals(partial), 1e-12);
  }
}

TEST_CASE("marginals come down some values at a time where they are much beside the messages") {
  std::mt19937_64 random(2);
  std::normal_distribution<> normal;
  FactorModel model;
  model.cardinalities.assign(7, 6);
  const auto join = [&](std::int64_t i, std::int64_t j) {
    Factor factor{{i, j}, {}};
    for (int n = 0; n < 36; ++n)
      factor.log_values.push_back(n % 7 == 6 ? -INFINITY : normal(random));
    model.factors.push_back(factor);
  };
  for (std::int64_t i = 0; i < 5; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      join(j, i);
  for (std::int64_t i = 0; i < 4; ++i) {  // messages over four of the five
    join(i, 5);
    join(i + 1, 6);
  }
  const test::Factored energy(model);
  const EnumerationOracle truth(energy);
  const auto empty = energy.space().empty()[0];
  check_equal(energy.exact()->single_marginals(empty), truth.single_marginals(empty), 1e-12);
}

TEST_CASE("branches on threads of their own sum what their tables sum") {
  constexpr std::int64_t kBranches = 12, kOwn = 13;  // tables of a hub and 13 spins of their own
  std::mt19937_64 random(4);
  std::normal_distribution<> normal;
  FactorModel model;
  model.cardinalities.assign(1 + kBranches * kOwn, 2);
  auto log_z = torch::zeros({2}, torch::kDouble);  // by the hub's value
  std::vector<Tensor> up;                          // p(x_i = 1 | hub): [2] each
  for (std::int64_t b = 0; b < kBranches; ++b) {
    Factor factor{{0}, {}};
    for (std::int64_t i = 0; i < kOwn; ++i)
      factor.scope.push_back(1 + b * kOwn + i);
    for (std::int64_t n = 0; n < std::int64_t{1} << (kOwn + 1); ++n)
      factor.log_values.push_back(normal(random));
    const auto table = torch::tensor(factor.log_values, torch::kDouble).view({2, -1});
    log_z += table.logsumexp(1);
    for (std::int64_t i = 0; i < kOwn; ++i) {
      const auto by_value = table.softmax(1).view({2, std::int64_t{1} << i, 2, -1});
      up.push_back(by_value.sum(c10::IntArrayRef{1, 3}).select(1, 1));
    }
    model.factors.push_back(factor);
  }
  const auto hub = log_z.softmax(0);
  auto truth = hub.select(0, 1).unsqueeze(0);
  for (const auto& of : up)
    truth = torch::cat({truth, (hub * of).sum().unsqueeze(0)});
  const auto threads = at::get_num_threads();
  for (const int used : {1, 2, 3}) {
    CAPTURE(used);
    at::set_num_threads(used);
    const test::Factored energy(model);
    const auto oracle = energy.exact();
    CHECK(oracle->log_z() == doctest::Approx(log_z.logsumexp(0).item<double>()).epsilon(1e-12));
    check_equal(oracle->single_marginals(energy.space().empty()[0]).select(1, 1), truth, 1e-12);
  }
  at::set_num_threads(threads);
}

TEST_CASE("whoever asked for marginals has log Z, the same as alone") {
  const auto model = random_model(5, 0);
  const test::Factored first(model), second(model);
  first.exact()->single_marginals(first.space().empty()[0]);
  CHECK(first.exact()->log_z() == second.exact()->log_z());
}

TEST_CASE("elimination's samples follow the posterior") {
  const test::Factored energy(random_model(4, 0.2));
  const EnumerationOracle truth(energy);
  REQUIRE(std::isfinite(truth.log_z()));
  Streams streams(7);
  auto& stream = streams.at("test");
  const auto given = truth.sample(energy.space().empty(), stream)[0];
  auto partial = torch::where(torch::arange(8) < 2, given, kUnknown);
  const std::int64_t N = 20000;
  const auto x = energy.exact()->sample(partial.expand({N, 8}), stream);
  CHECK(torch::isfinite(energy.log_density(x)).all().item<bool>());
  const auto p = truth.single_marginals(partial);
  for (std::int64_t i = 0; i < 8; ++i)
    for (std::int64_t k = 0; k < energy.space().cardinalities[std::size_t(i)]; ++k) {
      const auto share = (x.select(1, i) == k).to(torch::kDouble).mean().item<double>();
      const auto expected = p[i][k].item<double>();
      CHECK(std::abs(share - expected) < 5 * std::sqrt(expected * (1 - expected) / N) + 1e-12);
    }
}

TEST_CASE("a graph too wide for elimination is refused with width, need and limit") {
  FactorModel clique;
  clique.cardinalities.assign(24, 2);
  for (std::int64_t i = 0; i < 24; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      clique.factors.push_back({{j, i}, {0.1, 0, 0, 0.1}});
  const test::Factored energy(clique, 1.0 / 1024);
  const auto oracle = energy.exact();
  REQUIRE_FALSE(bool(oracle));
  CHECK(
      oracle.reason ==
      "variable elimination has induced width 23 here (min-fill order; no order has less than 23) "
      "and would need 0.125 GiB, the limit is 0.000977 GiB");
}

TEST_CASE("no order of a graph has less than its least width") {
  const auto width = [](const std::vector<std::vector<std::int64_t>>& scopes, std::size_t D) {
    return least_width(D, scopes, std::vector<bool>(D, true));
  };
  CHECK(width({{0}}, 1) == 0);
  CHECK(width({{0, 1}, {1, 2}, {1, 3}, {3, 4}}, 5) == 1);  // a tree
  CHECK(width({{0, 1}, {1, 2}, {2, 3}, {3, 0}}, 4) == 2);  // a cycle
  CHECK(width({{0, 1, 2, 3, 4}}, 5) == 4);                 // a clique
  std::vector<std::vector<std::int64_t>> cube;             // of 8 corners: treewidth 3
  for (std::int64_t i = 0; i < 8; ++i)
    for (const auto bit : {1, 2, 4})
      if (!(i & bit)) cube.push_back({i, i | bit});
  CHECK(width(cube, 8) == 3);
}

TEST_CASE("the width of a grid is its shorter side") {
  FactorModel grid;
  const std::int64_t rows = 5, columns = 40;
  grid.cardinalities.assign(std::size_t(rows * columns), 2);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      if (i + 1 < rows)
        grid.factors.push_back({{i * columns + j, (i + 1) * columns + j}, {0.3, 0, 0, 0.3}});
      if (j + 1 < columns)
        grid.factors.push_back({{i * columns + j, i * columns + j + 1}, {0.3, 0, 0, 0.3}});
    }
  const test::Factored energy(grid, 200 * 5 * 64 * 2 * 8 / double(1 << 30));
  REQUIRE(bool(energy.exact()));
  // sum_e log cosh + D log 2 is a lower bound for a ferromagnet; exact on trees
  const auto edges = double(grid.factors.size());
  CHECK(energy.exact()->log_z() > 200 * std::log(2.0) + edges * (0.15 + std::log(std::cosh(0.15))));
}
