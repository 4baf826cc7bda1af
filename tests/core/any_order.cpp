#include <marginalia/any_order.h>
#include <marginalia/masking.h>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// Exact conditionals of a random joint over 2 x 3 x 2 states, by summing its table.
struct Joint {
  Tensor table = torch::rand({2, 3, 2}, torch::kDouble) + 0.1;
  StateSpace space{{2, 3, 2}, {3}, {}};
  Joint() { table /= table.sum(); }

  double marginal(const Tensor& x) const {
    auto rest = table;
    int axis = 0;
    for (int i = 0; i < 3; ++i) {
      const auto v = x[i].item<std::int64_t>();
      if (v == kUnknown)
        ++axis;
      else
        rest = rest.select(axis, v);
    }
    return rest.sum().item<double>();
  }
  Tensor log_conditionals(const Tensor& partial) const {
    auto out = torch::full({partial.size(0), 3, 3}, -INFINITY, torch::kDouble);
    for (std::int64_t b = 0; b < partial.size(0); ++b)
      for (std::int64_t i = 0; i < 3; ++i) {
        if (partial[b][i].item<std::int64_t>() != kUnknown) continue;
        for (std::int64_t k = 0; k < space.cardinalities[std::size_t(i)]; ++k) {
          auto more = partial[b].clone();
          more[i] = k;
          out[b][i][k] = std::log(marginal(more) / marginal(partial[b]));
        }
      }
    return out;
  }
};

}  // namespace

TEST_CASE("with exact conditionals every order of a chain gives the exact marginal") {
  torch::manual_seed(1);
  const Joint joint;
  const auto model = [&](const Tensor& s) { return joint.log_conditionals(s); };
  Stream stream(3, "test");
  const auto partial =
      torch::tensor({1, 2, 0, -1, 1, 1, 0, -1, -1, -1, -1, -1}, torch::kLong).view({4, 3});
  for (int repeat = 0; repeat < 4; ++repeat) {
    const auto score = score_chain(model, partial, {}, stream.permutations(4, 3), 2);
    for (int b = 0; b < 4; ++b)
      CHECK(score.log_prob[b].item<double>() ==
            doctest::Approx(std::log(joint.marginal(partial[b]))).epsilon(1e-10));
    CHECK(score.passes == doctest::Approx((3 + 2 + 1 + 0) / 4.0));
  }
}

TEST_CASE("what is given is conditioned on") {
  torch::manual_seed(2);
  const Joint joint;
  const auto model = [&](const Tensor& s) { return joint.log_conditionals(s); };
  Stream stream(3, "test");
  const auto partial = torch::tensor({{1, 2, 0}}, torch::kLong);
  const auto given = torch::tensor({{1, -1, -1}}, torch::kLong);
  const auto score = score_chain(model, partial, given, stream.permutations(1, 3));
  const auto expected = std::log(joint.marginal(partial[0]) / joint.marginal(given[0]));
  CHECK(score.log_prob.item<double>() == doctest::Approx(expected).epsilon(1e-10));
}

TEST_CASE("chain samples follow the joint and carry their own log-probability") {
  torch::manual_seed(3);
  const Joint joint;
  const auto model = [&](const Tensor& s) { return joint.log_conditionals(s); };
  Stream stream(5, "test");
  const auto N = 6000;
  const auto given = torch::tensor({{-1, 2, -1}}, torch::kLong);
  const auto start =
      torch::cat({torch::full({N / 2, 3}, kUnknown, torch::kLong), given.expand({N / 2, 3})});
  const auto sample = sample_chain(model, start, stream.permutations(N, 3), stream);
  CHECK(sample.states.select(1, 1).slice(0, N / 2).eq(2).all().item<bool>());
  double chi = 0;
  for (std::int64_t a = 0; a < 2; ++a)
    for (std::int64_t b = 0; b < 3; ++b)
      for (std::int64_t c = 0; c < 2; ++c) {
        const auto cell = torch::tensor({a, b, c});
        const auto hits = sample.states.slice(0, 0, N / 2).eq(cell).all(1).sum().item<double>();
        const auto expected = joint.marginal(cell) * N / 2;
        chi += (hits - expected) * (hits - expected) / expected;
      }
  CHECK(chi < 31.3);            // 0.999 quantile of chi-square with 11 degrees of freedom
  for (int n = 0; n < 20; ++n)  // the conditionals being exact, any order gives the joint
    CHECK(sample.log_prob[n].item<double>() ==
          doctest::Approx(std::log(joint.marginal(sample.states[n]))).epsilon(1e-10));
}

TEST_CASE("ranks are the inverse of orders, and forward is left to right") {
  Stream stream(1, "test");
  const auto orders = stream.permutations(7, 5);
  CHECK(ranks_of(orders).gather(1, orders).equal(torch::arange(5).expand({7, 5})));
  CHECK(draw_orders(Order::kForward, 1, 3, stream).equal(torch::tensor({{0, 1, 2}})));
  CHECK(draw_orders(Order::kBackward, 1, 3, stream).equal(torch::tensor({{2, 1, 0}})));
}

TEST_CASE("masks leave every subset size equally often, and every variable") {
  Stream stream(2, "test");
  const auto D = 8;
  auto sizes = torch::zeros({D}), members = torch::zeros({D});
  for (int repeat = 0; repeat < 50; ++repeat) {
    const auto masked = mask_uniformly(torch::zeros({64, D}, torch::kLong), stream);
    const auto known = masked.unknown.logical_not();
    CHECK(masked.partial.eq(kUnknown).equal(masked.unknown));
    sizes += known.sum(1).bincount({}, D).to(torch::kFloat);
    members += known.sum(0).to(torch::kFloat);
  }
  CHECK(sizes.eq(50 * 64 / D).all().item<bool>());                           // stratified: exactly
  CHECK((members / (50 * 64) - 3.5 / D).abs().max().item<double>() < 0.04);  // 5 sigma
}
