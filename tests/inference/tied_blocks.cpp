// Variables that forbidden entries tie are redrawn together: against exact laws.
#include "factors.h"

#include <cmath>

#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/gibbs.h>

using namespace marginalia;
using torch::Tensor;

namespace {

constexpr double kNever = -INFINITY;

/// x2 = x0 xor x1, x3 leans to x2, x4 is by itself: states of x0, x1, x2 differ in two at least.
FactorModel parity() {
  return {{2, 2, 2, 2, 2},
          {{{0}, {std::log(0.1), std::log(0.9)}},
           {{1}, {0, 0.3}},
           {{2, 0, 1}, {0, kNever, kNever, 0, kNever, 0, 0, kNever}},
           {{2, 3}, {0.5, 0, 0, 0.5}},
           {{4}, {0, 1}}}};
}

/// Exactly one of four is 1, and each has a weight of its own.
FactorModel one_of_four() {
  std::vector<double> table(16, kNever);
  for (const auto n : {1, 2, 4, 8})
    table[std::size_t(n)] = 0;
  return {{2, 2, 2, 2},
          {{{0, 1, 2, 3}, table}, {{0}, {0, 1}}, {{1}, {0, 0.5}}, {{2}, {0, 0}}, {{3}, {0, -1}}}};
}

/// Shares of every state among rows against the law of f^b given `partial`, within five errors.
void check_law(const Energy& energy, const Tensor& x, const Tensor& partial, double b = 1) {
  const auto all = all_states(energy.space());
  const auto states = all.index({(all == partial).logical_or(partial == kUnknown).all(1)});
  const auto p = (b * energy.log_density(states)).softmax(0);
  for (std::int64_t n = 0; n < states.size(0); ++n) {
    const auto share = (x == states[n]).all(1).to(torch::kDouble).mean().item<double>();
    const auto q = p[n].item<double>();
    CHECK(std::abs(share - q) < 5 * std::sqrt(q * (1 - q) / double(x.size(0))) + 1e-9);
  }
}

Tensor repeat_rows(std::initializer_list<std::int64_t> state, std::int64_t rows) {
  return torch::tensor(std::vector<std::int64_t>(state)).repeat({rows, 1});
}

}  // namespace

TEST_CASE("Gibbs sweeps reach every allowed state, from one and from a forbidden one") {
  for (const auto& [model, start] : {std::pair{parity(), repeat_rows({0, 0, 0, 0, 0}, 4000)},
                                     {parity(), repeat_rows({0, 1, 0, 0, 0}, 4000)},  // forbidden
                                     {one_of_four(), repeat_rows({0, 0, 1, 0}, 4000)},
                                     {one_of_four(), repeat_rows({1, 1, 1, 1}, 4000)}}) {
    const test::Factored energy(model);
    const GibbsSampler sampler(energy);
    Stream stream(1, "test");
    const auto x = sampler.sweep(start, {}, 10, stream, false).states;
    check_law(energy, x, energy.space().empty()[0]);
  }
}

TEST_CASE("under evidence what is held stays, and the rest follows its law") {
  const test::Factored energy(parity());
  const GibbsSampler sampler(energy);
  Stream stream(2, "test");
  auto partial = energy.space().empty()[0];
  partial[2] = 0;
  const auto free = (partial == kUnknown).expand({4000, 5}).contiguous();
  auto start = repeat_rows({1, 0, 0, 1, 1}, 4000);  // forbidden, given x2 = 0
  const auto result = sampler.sweep(start, free, 10, stream, true);
  check_law(energy, result.states, partial);
  // Of the block the mean is exact in every row: nothing else bears on it once x2 is given.
  const auto p = energy.exact()->single_marginals(partial);
  CHECK(torch::allclose(result.mean.select(1, 0).to(torch::kDouble), p[0].expand({4000, 2}), 0,
                        1e-6));
  CHECK(std::abs(result.mean.select(1, 3).select(1, 1).mean().item<double>() -
                 p[3][1].item<double>()) < 1e-3);
  CHECK(torch::allclose(result.mean.sum(2).index({free}), torch::ones({1}), 1e-4, 1e-4));
}

TEST_CASE("blocks follow the inverse temperature") {
  const test::Factored energy(one_of_four());
  GibbsSampler sampler(energy);
  Stream stream(3, "test");
  for (const auto b : {3.0, 0.5}) {
    sampler.set_inverse_temperature(b);
    const auto x = sampler.sweep(repeat_rows({1, 0, 0, 0}, 4000), {}, 5, stream, false).states;
    check_law(energy, x, energy.space().empty()[0], b);
  }
}

TEST_CASE("variables that single moves set free are tied to nothing") {
  const auto any = [](const FactorModel& model) {
    return TiedBlocks(model, {model.cardinalities, {std::int64_t(model.cardinalities.size())}})
        .any();
  };
  CHECK(any(parity()));
  CHECK(any(one_of_four()));
  CHECK_FALSE(any({{2, 2}, {{{0, 1}, {1, 2, 3, 4}}}}));       // nothing is forbidden
  CHECK_FALSE(any({{2, 2}, {{{0, 1}, {0, 0, 0, kNever}}}}));  // not both: 0 is always safe
  CHECK_FALSE(any({{2, 2}, {{{0, 1}, {0, kNever, kNever, 0}}, {{0}, {0, kNever}}}}));  // one state
  CHECK(any({{2, 2}, {{{0, 1}, {0, kNever, kNever, 0}}}}));                            // equal
  // Equal, and each of them may be 1 where a third is 1: that one is safe, the two are tied.
  CHECK(any({{2, 2, 2}, {{{0, 1}, {0, kNever, kNever, 0}}, {{0, 2}, {0, 0, kNever, 0}}}}));
}

TEST_CASE("a safe variable around a block frees it from a state that allows it none") {
  // x0 = x1, and both 1 only where x2 = 1; x2 = 1 is safe.
  const FactorModel model{
      {2, 2, 2}, {{{0, 1}, {0, kNever, kNever, 0}}, {{0, 2}, {0, 0, kNever, 0}}, {{2}, {0.7, 0}}}};
  const test::Factored energy(model);
  const TiedBlocks ties(model, energy.space());
  Stream stream(4, "test");
  auto free = torch::ones({100, 3}, torch::kBool);
  free.select(1, 0).fill_(false);
  const auto x = ties.redraw(repeat_rows({1, 0, 0}, 100), free, stream);
  CHECK(x.equal(repeat_rows({1, 1, 1}, 100)));
}
