// What evidence leaves of factors: components, cutsets, and passes.
#include "factors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using torch::Tensor;

namespace {

FactorModel grid(std::int64_t rows, std::int64_t columns) {
  FactorModel model;
  model.cardinalities.assign(std::size_t(rows * columns), 2);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      const auto i = r * columns + c;
      const auto w = 0.1 + 0.01 * double(i);
      if (r + 1 < rows) model.factors.push_back({{i, i + columns}, {w, -w, 0.3, w}});
      if (c + 1 < columns) model.factors.push_back({{i + 1, i}, {w, 0, -w, w}});
      model.factors.push_back({{i}, {0.2, -0.1 * double(c)}});
    }
  return model;
}

std::vector<std::int64_t> list_values(const Tensor& row) {
  return {row.data_ptr<std::int64_t>(), row.data_ptr<std::int64_t>() + row.numel()};
}

/// The induced width of a min-fill order of what `cut` leaves.
std::string left_by(const FactorModel& model, const std::vector<std::int64_t>& cut, double width) {
  std::vector<std::int64_t> values(model.cardinalities.size(), kUnknown);
  for (const auto i : cut)
    values[std::size_t(i)] = 0;
  const auto left = conditioned(model, values.data());
  const Elimination elimination(left.model,
                                {left.model.cardinalities, {std::int64_t(values.size())}});
  // messages of 2^width entries at most, and probabilities beside them
  return elimination.obstacle(2 * 8 * std::exp2(width) * double(values.size()) / double(1 << 30));
}

}  // namespace

TEST_CASE("a density with what is known put in is the density") {
  FactorModel model{{2, 3, 2, 2}, {}};
  std::vector<double> table(12);
  for (std::size_t n = 0; n < 12; ++n)
    table[n] = std::sin(double(n));
  model.factors = {{{2, 1, 0}, table}, {{}, {0.5}}, {{3, 1}, {1, 2, 3, 4, 5, 6}}, {{3}, {7, 8}}};
  const test::Factored energy(model);
  const auto all = all_states(energy.space());
  const auto log_f = energy.log_density(all);
  for (std::int64_t b = 0; b < all.size(0); ++b)
    for (int mask = 0; mask < 16; ++mask) {
      auto values = list_values(all[b]);
      for (std::size_t i = 0; i < 4; ++i)
        if (mask >> i & 1) values[i] = kUnknown;
      const auto left = conditioned(model, values.data());
      CHECK(left.variables.size() == std::size_t(std::popcount(unsigned(mask))));
      double sum = left.constant;
      for (const auto& factor : left.model.factors) {
        std::int64_t entry = 0;
        for (const auto place : factor.scope) {
          const auto i = left.variables[std::size_t(place)];
          entry = entry * model.cardinalities[std::size_t(i)] + all[b][i].item<std::int64_t>();
        }
        sum += factor.log_values[std::size_t(entry)];
      }
      REQUIRE(sum == doctest::Approx(log_f[b].item<double>()).epsilon(1e-12));
    }
}

TEST_CASE("a wall through a grid leaves two components") {
  const auto model = grid(5, 7);
  std::vector<std::int64_t> values(35, kUnknown);
  for (std::size_t r = 0; r < 5; ++r)
    values[r * 7 + 3] = 1;
  const auto left = conditioned(model, values.data());
  const auto component = find_components(find_neighbours(left.model));
  CHECK(std::set<std::int64_t>(component.begin(), component.end()).size() == 2);
  for (std::size_t n = 0; n < component.size(); ++n)
    CHECK(component[n] == (left.variables[n] % 7 > 3 ? 1 : 0));
}

TEST_CASE("a cutset leaves what is as narrow as was asked, and takes nothing where that is so") {
  const auto model = grid(8, 8);
  const auto neighbours = find_neighbours(model);
  std::size_t before = 65;
  for (const double bits : {1, 2, 4, 6}) {
    CAPTURE(bits);
    const auto cut = cutset(model, neighbours, bits);
    CHECK(left_by(model, cut, bits) == "");
    CHECK(cut.size() < before);  // wider components need fewer
    before = cut.size();
  }
  CHECK(left_by(model, {}, 2) != "");  // or the check above says nothing
  CHECK(cutset(model, neighbours, 10).empty());
  CHECK(cutset(model, neighbours, 0).size() >= 32);  // no two neighbours are left
  const auto strip = grid(3, 40);
  CHECK(cutset(strip, find_neighbours(strip), 3).empty());
  // of a narrow component beside a wide one nothing is taken
  FactorModel both = grid(8, 8);
  both.cardinalities.insert(both.cardinalities.end(), {5, 5});
  both.factors.push_back({{64, 65}, std::vector<double>(25)});
  for (const auto i : cutset(both, find_neighbours(both), 4))
    CHECK(i < 64);
}

TEST_CASE("variables of one pass are as far apart as was asked") {
  const auto model = grid(9, 9);
  const auto neighbours = find_neighbours(model);
  std::vector<std::int64_t> all(81);
  for (std::size_t i = 0; i < 81; ++i)
    all[i] = std::int64_t(i);
  std::int64_t before = 0;
  for (const std::int64_t spacing : {1, 2, 3, 4, 6}) {
    CAPTURE(spacing);
    const auto pass = spaced_passes(neighbours, all, spacing);
    for (std::int64_t i = 0; i < 81; ++i)
      for (std::int64_t j = 0; j < i; ++j) {
        const auto away = std::abs(i / 9 - j / 9) + std::abs(i % 9 - j % 9);
        if (pass[std::size_t(i)] == pass[std::size_t(j)]) CHECK(away >= spacing);
      }
    const auto count = *std::ranges::max_element(pass) + 1;
    CHECK(count > before);
    before = count;
  }
  CHECK(spaced_passes(neighbours, all, 1) == std::vector<std::int64_t>(81, 0));
  CHECK(spaced_passes(neighbours, {5, 80, 3}, 0) == std::vector<std::int64_t>{0, 1, 2});
}
