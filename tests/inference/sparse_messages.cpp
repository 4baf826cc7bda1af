// Messages that are mostly zeros: weighted heights over a square lattice, those of neighbours at
// most one apart, against matrices from one row of it to the next.
#include "factors.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <marginalia/inference/most_probable.h>

#include "inference/exact/stored_values.h"

using namespace marginalia;
using elimination::StoredValues;
using torch::Tensor;

namespace {

constexpr std::int64_t kSide = 6, kHeights = 8;

/// Each site has log-weights of its own: [side^2, heights].
FactorModel heights(const Tensor& log_weights) {
  FactorModel model;
  model.cardinalities.assign(kSide * kSide, kHeights);
  const auto join = [&](std::int64_t i, std::int64_t j) {
    Factor factor{{i, j}, {}};
    for (std::int64_t k = 0; k < kHeights; ++k)
      for (std::int64_t l = 0; l < kHeights; ++l)
        factor.log_values.push_back(std::abs(k - l) <= 1 ? 0.0 : -INFINITY);
    model.factors.push_back(factor);
  };
  for (std::int64_t i = 0; i < kSide * kSide; ++i) {
    const auto* weights = log_weights.data_ptr<double>() + i * kHeights;
    model.factors.push_back({{i}, {weights, weights + kHeights}});
    if (i % kSide + 1 < kSide) join(i, i + 1);
    if (i + kSide < kSide * kSide) join(i, i + kSide);
  }
  return model;
}

/// The states of one row, [S, side], and which may lie beside one another, [S, S].
struct Rows {
  Tensor states, beside;
};

Rows all_rows() {
  std::vector<Tensor> columns(kSide, torch::arange(kHeights));
  const auto all = torch::cartesian_prod(columns);
  const auto steps = (all.slice(1, 1) - all.slice(1, 0, -1)).abs();
  const auto states = all.index({steps.le(1).all(1)});
  const auto apart = (states.unsqueeze(0) - states.unsqueeze(1)).abs();
  return {states, apart.le(1).all(2).to(torch::kDouble)};
}

/// log w(row r is s): [side, S]
Tensor log_weights_of(const Rows& rows, const Tensor& log_weights) {
  const auto by_row =
      log_weights.view({kSide, 1, kSide, kHeights}).expand({-1, rows.states.size(0), -1, -1});
  const auto index = rows.states.view({1, -1, kSide, 1}).expand({kSide, -1, -1, -1});
  return by_row.gather(3, index).sum(c10::IntArrayRef{2, 3});
}

}  // namespace

TEST_CASE("messages that are mostly zeros are summed as transfer matrices sum") {
  torch::manual_seed(3);
  const auto log_weights = torch::randn({kSide * kSide, kHeights}, torch::kDouble);
  const auto rows = all_rows();
  const auto weights = log_weights_of(rows, log_weights).exp();
  std::vector<Tensor> above{weights[0]}, below{torch::ones_like(weights[0])};
  for (std::int64_t r = 1; r < kSide; ++r) {
    above.push_back(weights[r] * rows.beside.mv(above.back()));
    below.push_back(rows.beside.mv(below.back() * weights[kSide - r]));
  }
  const auto z = above.back().sum();
  const test::Factored energy(heights(log_weights));
  const auto oracle = energy.exact();
  CHECK(oracle->log_z() == doctest::Approx(z.log().item<double>()).epsilon(1e-13));

  const auto found = oracle->single_marginals(energy.space().empty()[0]);
  for (std::int64_t r = 0; r < kSide; ++r) {
    const auto p = above[std::size_t(r)] * below[std::size_t(kSide - 1 - r)] / z;
    for (std::int64_t k = 0; k < kHeights; ++k) {
      const auto truth = (rows.states.eq(k) * p.unsqueeze(1)).sum(0);
      const auto of_row = found.slice(0, r * kSide, (r + 1) * kSide).select(1, k);
      CHECK((of_row - truth).abs().max().item<double>() < 1e-12);
    }
  }

  Streams streams(1);
  const auto x = oracle->sample(energy.space().empty().expand({2000, -1}), streams.at("test"));
  CHECK(energy.log_density(x).isfinite().all().item<bool>());
  const auto share = x.eq(1).to(torch::kDouble).mean(0), p = found.select(1, 1);
  CHECK(((share - p).abs() / (p * (1 - p) / 2000.0).sqrt()).max().item<double>() < 4.5);
}

TEST_CASE("the most probable state of messages that are mostly impossible") {
  torch::manual_seed(4);
  const auto log_weights = torch::randn({kSide * kSide, kHeights}, torch::kDouble);
  const auto rows = all_rows();
  const auto weights = log_weights_of(rows, log_weights);
  auto best = weights[0];
  for (std::int64_t r = 1; r < kSide; ++r)
    best = weights[r] + std::get<0>((rows.beside.log() + best.unsqueeze(0)).max(1));
  const auto model = heights(log_weights);
  const auto found = MostProbableStates(model, {})(test::Factored(model).space().empty()[0]);
  CHECK(found.method == "max-sum elimination");
  CHECK(found.log_density == doctest::Approx(best.max().item<double>()).epsilon(1e-13));
  CHECK(test::Factored(model).log_density(found.state.unsqueeze(0)).item<double>() ==
        doctest::Approx(found.log_density).epsilon(1e-13));
}

TEST_CASE("a table at rest has every entry, and stores those alone that are not common") {
  std::mt19937_64 random(5);
  for (const std::int64_t n : {1 << 12, (1 << 16) + 1, (1 << 18) - 1})
    for (const double common : {0.0, -double(INFINITY)}) {
      CAPTURE(n);
      CAPTURE(common);
      std::vector<double> x(std::size_t(n), common);
      for (auto& value : x)
        if (random() % 8 == 0) value = double(random());
      x.front() = x.back() = 1;
      StoredValues values(n, common);
      std::ranges::copy(x, values.data());
      values.rest();
      CHECK(values.data() == nullptr);
      CHECK(values.size() == n);
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < n; ++i)
        wrong += values.at(i) != x[std::size_t(i)];
      CHECK(wrong == 0);
      values.wake();
      CHECK(std::equal(x.begin(), x.end(), values.data()));
      values.rest();
      CHECK(values.at(n - 1) == 1);
      values.wake_to_write();
      values.data()[0] = 2;
      values.rest();
      CHECK(values.at(0) == 2);
    }
  for (const std::int64_t n : {100, 1 << 14}) {  // too short; too few that are common
    StoredValues values(n, 0);
    std::fill_n(values.data(), n / 5, 1.0);
    values.rest();
    CHECK(values.data() != nullptr);
    CHECK(values.at(0) == 1);
    CHECK(values.at(n - 1) == 0);
  }
}
