// Log-marginals of the law that samples in random orders follow.
#include <algorithm>
#include <array>
#include <cmath>

#include <marginalia/inference/any_order.h>
#include <marginalia/state_space.h>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

const StateSpace kSpace{{2, 3, 2}, {3}, {}};

/// Conditionals that are random in every partial state, so that no two orders agree.
struct Contradicting {
  Tensor log_p;  // [36, 3, 3]: of each partial state
  Contradicting() {
    torch::manual_seed(3);
    log_p = (1.5 * torch::randn({36, 3, 3}, torch::kDouble))
                .masked_fill(kSpace.possible().logical_not(), -INFINITY)
                .log_softmax(2);
  }
  static Tensor index(const Tensor& x) {
    return ((x + 1) * torch::tensor({12, 3, 1})).sum(1);  // of 3 x 4 x 3
  }
  LogConditionals model() const {
    return {[this](const Tensor& x) { return log_p.index_select(0, index(x)); }};
  }

  /// The mean over orders of what `known` has of a state drawn along each.
  double truth(const Evidence& known, const Tensor& start) const {
    std::array<int, 3> order{0, 1, 2};
    double sum = 0;
    do
      sum += along(order, 0, start.clone(), known);
    while (std::ranges::next_permutation(order).found);
    return sum / 6;
  }

 private:
  double along(const std::array<int, 3>& order, std::size_t t, const Tensor& x,
               const Evidence& known) const {
    if (t == 3) return 1;
    const auto i = order[t];
    if (x[0][i].item<std::int64_t>() != kUnknown) return along(order, t + 1, x, known);
    const auto wanted = known.partial[0][i].item<std::int64_t>();
    double sum = 0;
    for (std::int64_t k = 0; k < kSpace.cardinalities[std::size_t(i)]; ++k) {
      if (wanted != kUnknown && wanted != k) continue;
      auto next = x.clone();
      next[0][i] = k;
      const auto fits = wanted == kUnknown ? known.allowed[0][i][k].item<double>() : 1;
      sum +=
          fits * log_p[index(x)[0]][i][k].exp().item<double>() * along(order, t + 1, next, known);
    }
    return sum;
  }
};

/// x_0 unknown, some of x_1, x_2 known.
Evidence some_evidence() {
  auto allowed = torch::ones({1, 3, 3}, torch::kDouble);
  allowed[0][1] = torch::tensor({0., 1., 0.25}, torch::kDouble);
  return {torch::tensor({{kUnknown, kUnknown, std::int64_t{1}}}), allowed};
}

Evidence repeated(const Evidence& one, std::int64_t rows) {
  return one.of_rows(torch::zeros({rows}, torch::kLong));
}

/// The mean of values, and its standard error.
std::pair<double, double> mean_of(const Tensor& values) {
  const auto rows = double(values.size(0));
  return {values.mean().item<double>(), values.std().item<double>() / std::sqrt(rows)};
}

}  // namespace

TEST_CASE("paths estimate the probability under samples in random orders, without bias") {
  const Contradicting law;
  const auto model = law.model();
  Stream stream(1, "paths");
  const auto one = some_evidence();
  constexpr std::int64_t kRows = 6000;
  const auto known = repeated(one, kRows);
  const auto nothing = kSpace.empty();
  for (const bool conditioned : {false, true}) {
    CAPTURE(conditioned);
    auto given = nothing.clone();
    if (conditioned) given[0][2] = 1;  // of what is known; the rest is asked for
    const auto truth = law.truth(one, given);
    const Query query{.partial = known.partial,
                      .given = conditioned ? given.repeat({kRows, 1}) : Tensor(),
                      .estimator = "paths",
                      .orders = 4,
                      .allowed = known.allowed};
    const auto answer = answer_from_conditionals(model, query, stream);
    const auto [mean, error] = mean_of(answer.value.exp());
    CHECK(error < 0.02 * truth);
    CHECK(std::abs(mean - truth) < 4 * error);
    CHECK(answer.passes > 4);
    CHECK(answer.passes < 12);

    // Which sets that come first do not.
    auto first = query;
    first.estimator = "chain";
    const auto [chain, chain_error] =
        mean_of(answer_from_conditionals(model, first, stream).value.exp());
    CHECK(std::abs(chain - truth) > 0.05 * truth + 4 * chain_error);
  }
  // The share of samples that fit, by the weights of what they fit in part.
  const Query drawing{.kind = QueryKind::kSample, .partial = nothing.repeat({40000, 1})};
  const auto states = answer_from_conditionals(model, drawing, stream).states;
  const auto fits = one.allowed[0][1].index_select(0, states.select(1, 1)) *
                    (states.select(1, 2) == 1).to(torch::kDouble);
  const auto [share, error] = mean_of(fits);
  CHECK(std::abs(share - law.truth(one, nothing)) < 4 * error);
}

TEST_CASE("where conditionals agree each path is right, and what cannot be has no probability") {
  const auto log_p =
      torch::tensor({{.3, .7, 0.}, {.2, .3, .5}, {.9, .1, 0.}}, torch::kDouble).log();
  const LogConditionals model([&](const Tensor& x) {
    return log_p.unsqueeze(0).repeat({x.size(0), 1, 1});
  });
  Stream stream(2, "paths");
  const auto one = some_evidence();
  Query query{
      .partial = one.partial, .estimator = "paths", .orders = 1, .allowed = one.allowed.clone()};
  for (int n = 0; n < 8; ++n)
    CHECK(answer_from_conditionals(model, query, stream).value.exp().item<double>() ==
          doctest::Approx((.3 + .25 * .5) * .1).epsilon(1e-12));
  query.allowed[0][1].fill_(0);
  CHECK(answer_from_conditionals(model, query, stream).value.item<double>() == -INFINITY);
  query.allowed = Tensor();
  CHECK(answer_from_conditionals(model, query, stream).value.exp().item<double>() ==
        doctest::Approx(.1));
  query.partial = kSpace.empty();
  const auto nothing = answer_from_conditionals(model, query, stream);
  CHECK(nothing.value.item<double>() == 0);
  CHECK(nothing.passes == 0);
  query.orders = 0;
  CHECK(test::refusal([&] { answer_from_conditionals(model, query, stream); }) ==
        "\"paths\" need one order at least, not 0");
  const LogConditionals broken([](const Tensor& x) {
    return torch::full({x.size(0), 3, 3}, NAN, torch::kDouble);
  });
  query.orders = 4;
  query.partial = one.partial;
  CHECK(test::refusal([&] { answer_from_conditionals(broken, query, stream); }) ==
        "the model's conditionals are not probabilities (NaN, or all zero)");
}

TEST_CASE("many rows and many paths are asked in parts, with one mean") {
  const Contradicting law;
  const auto model = law.model();
  Stream stream(3, "paths");
  const auto one = some_evidence();
  const auto truth = law.truth(one, kSpace.empty());
  for (const auto& [rows, paths] : {std::pair<std::int64_t, std::int64_t>{1, 40000}, {3, 20000}}) {
    const auto known = repeated(one, rows);
    const Query query{
        .partial = known.partial, .estimator = "paths", .orders = paths, .allowed = known.allowed};
    const auto value = answer_from_conditionals(model, query, stream).value.exp();
    CHECK(value.size(0) == rows);
    CHECK(((value - truth).abs() < 0.05 * truth).all().item<bool>());
  }
}
