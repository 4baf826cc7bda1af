#include <cmath>
#include <numeric>
#include <vector>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>

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
  CHECK(to_ranks(orders).gather(1, orders).equal(torch::arange(5).expand({7, 5})));
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

TEST_CASE("masked scores average to the chain's over orders, at a fixed number of passes") {
  torch::manual_seed(2);
  const Joint joint;
  // Conditionals that disagree between orders: those of another joint where variable 0 is unknown.
  const Joint other;
  const auto model = [&](const Tensor& s) {
    const auto swap = (s.select(1, 0) == kUnknown).view({-1, 1, 1});
    return torch::where(swap, other.log_conditionals(s), joint.log_conditionals(s));
  };
  Stream stream(5, "test");
  const auto one = torch::tensor({1, 2, 0, 0, 1, -1}, torch::kLong).view({2, 3});
  const auto rows = one.repeat({1000, 1});
  const auto given = torch::tensor({-1, 2, -1, -1, -1, -1}, torch::kLong).view({2, 3});
  const auto all_given = given.repeat({1000, 1});
  const auto chain =
      score_chain(model, rows, all_given, stream.permutations(rows.size(0), 3)).log_prob;
  for (const std::int64_t masks : {1, 2, 5}) {
    const auto masked = score_masked(model, rows, all_given, masks, stream);
    CHECK(masked.passes == masks);
    for (int b = 0; b < 2; ++b) {
      const auto m = masked.log_prob.slice(0, b, c10::nullopt, 2),
                 c = chain.slice(0, b, c10::nullopt, 2);
      const auto error = std::sqrt((m.var() + c.var()).item<double>() / 1000);
      CHECK(std::abs((m.mean() - c.mean()).item<double>()) < 4 * error + 1e-12);
    }
  }
  const auto nothing = score_masked(model, given, given, 3, stream).log_prob;
  CHECK((nothing == 0).all().item<bool>());
}

TEST_CASE("the blocks of least loss are those that brute force finds") {
  const std::vector<double> loss{0.9, 0.85, 0.5, 0.45, 0.44, 0.1, 0.05};
  const auto cost = [&](const std::vector<std::int64_t>& blocks, std::int64_t unknown) {
    double sum = 0;
    auto known = std::int64_t(loss.size()) - unknown;
    for (const auto block : blocks) {
      sum += double(block) * loss[std::size_t(known)];
      known += block;
    }
    return sum;
  };
  for (std::int64_t unknown = 1; unknown <= 7; ++unknown)
    for (std::int64_t count = 1; count <= 8; ++count) {
      CAPTURE(unknown);
      CAPTURE(count);
      double least = INFINITY;  // over all ways to cut `unknown` into at most `count` blocks
      for (unsigned cuts = 0; cuts < (1u << (unknown - 1)); ++cuts) {
        std::vector<std::int64_t> blocks{1};
        for (std::int64_t i = 0; i + 1 < unknown; ++i)
          if (cuts >> i & 1)
            blocks.push_back(1);
          else
            ++blocks.back();
        if (std::int64_t(blocks.size()) <= count) least = std::min(least, cost(blocks, unknown));
      }
      const auto blocks = best_blocks(loss, unknown, count);
      CHECK(std::int64_t(blocks.size()) <= count);
      CHECK(std::accumulate(blocks.begin(), blocks.end(), std::int64_t{0}) == unknown);
      CHECK(cost(blocks, unknown) == doctest::Approx(least).epsilon(1e-12));
    }
}

TEST_CASE("a sample in blocks is scored by the law that drew it") {
  torch::manual_seed(3);
  const Joint joint;
  const auto model = [&](const Tensor& s) { return joint.log_conditionals(s); };
  Stream stream(7, "test");
  const auto partial = torch::tensor({-1, -1, -1, -1, 2, -1}, torch::kLong).view({2, 3});
  const auto orders = torch::tensor({2, 0, 1, 0, 1, 2}, torch::kLong).view({2, 3});
  const auto sample = sample_blocks(model, partial, orders, {2, 1}, stream);
  CHECK(sample.passes == doctest::Approx(1.5));  // two of one row, one of the other
  CHECK(sample.states[1][1].item<std::int64_t>() == 2);
  // Row 0: variables 2 and 0 from the empty state, then 1; row 1: 0 and 2 together.
  const auto first = model(partial);
  const auto value = [&](int b, int i) { return sample.states[b][i].item<std::int64_t>(); };
  auto two = partial[0].clone();
  two[2] = value(0, 2);
  two[0] = value(0, 0);
  const auto then = model(two.unsqueeze(0));
  const auto expected0 =
      first[0][2][value(0, 2)] + first[0][0][value(0, 0)] + then[0][1][value(0, 1)];
  const auto expected1 = first[1][0][value(1, 0)] + first[1][2][value(1, 2)];
  CHECK(sample.log_prob[0].item<double>() == doctest::Approx(expected0.item<double>()));
  CHECK(sample.log_prob[1].item<double>() == doctest::Approx(expected1.item<double>()));
}

TEST_CASE("passes of a parallel order hold one colour each, in an order of each row's own") {
  Stream stream(4, "test");
  const auto colours = torch::tensor({0, 1, 2, 0, 1, 2, 2}, torch::kLong);
  const auto time = draw_times(colours, 500, stream);
  const auto of_first = time.slice(1, 0, 3);  // of colours 0, 1 and 2
  CHECK(time.equal(of_first.index_select(1, colours)));
  CHECK(std::get<0>(of_first.sort(1)).equal(torch::arange(3).expand({500, 3})));
  const auto first = (of_first == 0).to(torch::kDouble).mean(0);  // 5 sigma of 1/3
  CHECK((first - 1 / 3.0).abs().max().item<double>() < 0.11);
}

TEST_CASE("conditionals that are not numbers are refused when drawn from") {
  Stream stream(4, "test");
  const auto nan = [](const Tensor& s) {
    return torch::full({s.size(0), s.size(1), 2}, NAN, torch::kDouble);
  };
  const auto partial = torch::full({2, 3}, kUnknown, torch::kLong);
  const auto orders = stream.permutations(2, 3);
  CHECK(test::refusal([&] {
          sample_chain(nan, partial, orders, stream);
        }).find("not probabilities") != std::string::npos);
}

TEST_CASE("a parallel order is refused where any variable may see any other") {
  Stream stream(4, "test");
  const auto model = [](const Tensor& s) { return torch::zeros({s.size(0), s.size(1), 2}); };
  const auto partial = torch::full({2, 3}, kUnknown, torch::kLong);
  const Query query{.kind = QueryKind::kSample, .partial = partial, .order = Order::kParallel};
  CHECK(test::refusal([&] {
          answer_from_conditionals(model, query, stream);
        }).find("finite receptive field") != std::string::npos);
  CHECK(answer_from_conditionals(model, query, stream, {.colours = torch::tensor({0, 1, 0})})
            .passes == 2);
}
