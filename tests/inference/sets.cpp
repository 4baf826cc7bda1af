// Sets of values as evidence for models of single conditionals.
#include <cmath>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/state_space.h>

#include "inference/sampling/sets.h"
#include "marginalia_test.h"

using namespace marginalia;

namespace {

const StateSpace kSpace{{2, 3, 4, 3}, {4}, {}};

/// Exact conditionals of a random law over 72 states.
struct Law {
  Tensor states = all_states(kSpace);
  Tensor log_p;
  Law() {
    torch::manual_seed(5);
    log_p = (2 * torch::randn({states.size(0)}, torch::kDouble)).log_softmax(0);
  }
  double log_sum(const Evidence& row) const {
    const auto fits = (row.partial == kUnknown).logical_or(row.partial == states).all(1);
    const auto all = row.of_rows(torch::zeros({states.size(0)}, torch::kLong));
    return (log_p + all.log_allowed(states))
        .masked_fill(fits.logical_not(), -INFINITY)
        .logsumexp(0)
        .item<double>();
  }
  Tensor conditionals(const Tensor& partial) const {
    auto out = torch::full({partial.size(0), 4, 4}, -INFINITY, torch::kDouble);
    for (std::int64_t b = 0; b < partial.size(0); ++b)
      for (std::int64_t i = 0; i < 4; ++i)
        for (std::int64_t k = 0; k < kSpace.cardinalities[std::size_t(i)]; ++k) {
          if (partial[b][i].item<std::int64_t>() != kUnknown) continue;
          auto more = partial[b].unsqueeze(0).clone();
          more[0][i] = k;
          out[b][i][k] = log_sum(more) - log_sum(partial[b].unsqueeze(0));
        }
    return out;
  }
};

/// x_0 unknown, x_1 one of two, x_2 in parts, x_3 known.
Evidence some_sets() {
  auto allowed = torch::ones({1, 4, 4}, torch::kDouble);
  allowed[0][1] = torch::tensor({1., 0., 1., 0.}, torch::kDouble);
  allowed[0][2] = torch::tensor({0., .25, 1., .5}, torch::kDouble);
  return {torch::tensor({{kUnknown, kUnknown, kUnknown, std::int64_t{2}}}), allowed};
}

}  // namespace

TEST_CASE(
    "values of sets are listed with their weights, whose sum is the probability of the sets") {
  const Law law;
  const LogConditionals model([&](const Tensor& x) { return law.conditionals(x); });
  Stream stream(1, "sets");
  const auto known = some_sets();
  const auto all = list_sets(model, known, stream);
  CHECK(all.exact);
  CHECK(all.states.size(0) == 6);  // two of x_1 times three of x_2
  CHECK(all.passes == 1 + 2);      // x_1 first, the smaller set
  const auto mass = law.log_sum(known) - law.log_sum(known.partial);
  CHECK(all.log_weight.logsumexp(0).item<double>() == doctest::Approx(mass).epsilon(1e-12));
  CHECK((all.states.select(1, 0) == kUnknown).all().item<bool>());
  CHECK((all.states.select(1, 3) == 2).all().item<bool>());
}

TEST_CASE("particles estimate the probability of sets too large to list, without bias") {
  const Law law;
  const LogConditionals model([&](const Tensor& x) { return law.conditionals(x); });
  Stream stream(2, "sets");
  const auto known = some_sets();
  const auto truth = std::exp(law.log_sum(known) - law.log_sum(known.partial));
  double sum = 0, squares = 0;
  constexpr int kTimes = 200;
  for (int n = 0; n < kTimes; ++n) {
    const auto some = list_sets(model, known, stream, {.states = 5, .particles = 16});
    CHECK_FALSE(some.exact);
    CHECK(some.states.size(0) == 16);
    const auto p = std::exp(some.log_weight.logsumexp(0).item<double>());
    sum += p;
    squares += p * p;
  }
  const auto mean = sum / kTimes;
  const auto error = std::sqrt((squares / kTimes - mean * mean) / kTimes);
  CHECK(error < 0.05 * truth);
  CHECK(std::abs(mean - truth) < 4 * error);
}

TEST_CASE("with exact conditionals answers about sets are exact") {
  const Law law;
  const LogConditionals model([&](const Tensor& x) { return law.conditionals(x); });
  Stream stream(3, "sets");
  const auto known = some_sets();
  Query query{.partial = known.partial, .estimator = "chain", .allowed = known.allowed};
  const auto log_p = answer_from_conditionals(model, query, stream);
  CHECK(log_p.value.item<double>() == doctest::Approx(law.log_sum(known)).epsilon(1e-10));
  query.given = known.partial;
  const auto given = answer_from_conditionals(model, query, stream);
  CHECK(given.value.item<double>() ==
        doctest::Approx(law.log_sum(known) - law.log_sum(known.partial)).epsilon(1e-10));

  query = {.kind = QueryKind::kConditionals, .partial = known.partial, .allowed = known.allowed};
  const auto conditionals = answer_from_conditionals(model, query, stream).value;
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t k = 0; k < kSpace.cardinalities[std::size_t(i)]; ++k) {
      auto with = known;
      with.allowed = known.allowed.clone();
      with.allowed[0][i].fill_(0);
      with.allowed[0][i][k] = known.allowed[0][i][k];
      CHECK(conditionals[0][i][k].exp().item<double>() ==
            doctest::Approx(std::exp(law.log_sum(with) - law.log_sum(known))).epsilon(1e-10));
    }
}

TEST_CASE("samples given sets follow the law given them, and repeated rows share what is listed") {
  const Law law;
  std::int64_t rows_asked = 0;
  const LogConditionals model([&](const Tensor& x) {
    rows_asked += x.size(0);
    return law.conditionals(x);
  });
  Stream stream(4, "sets");
  const auto one = some_sets();
  constexpr std::int64_t kRows = 4000;
  const auto known = one.of_rows(torch::zeros({kRows}, torch::kLong));
  const Query query{.kind = QueryKind::kSample, .partial = known.partial, .allowed = known.allowed};
  const auto drawn = answer_from_conditionals(model, query, stream);
  CHECK(drawn.status == Status::kExact);
  CHECK(rows_asked < kRows + 16);  // x_0 of each, and the sets once
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t k = 0; k < kSpace.cardinalities[std::size_t(i)]; ++k) {
      auto with = one;
      with.allowed = one.allowed.clone();
      with.allowed[0][i].fill_(0);
      with.allowed[0][i][k] = one.allowed[0][i][k];
      const auto p = std::exp(law.log_sum(with) - law.log_sum(one));
      const auto share = (drawn.states.select(1, i) == k).to(torch::kDouble).mean().item<double>();
      CHECK(std::abs(share - p) <= 4 * std::sqrt(p * (1 - p) / kRows) + 1e-12);
    }
  const auto log_p = drawn.value.slice(0, 0, 8);
  for (std::int64_t b = 0; b < 8; ++b) {
    const auto state = drawn.states[b].unsqueeze(0);
    CHECK(log_p[b].item<double>() ==
          doctest::Approx(law.log_sum(state) + one.log_allowed(state).item<double>() -
                          law.log_sum(one))
              .epsilon(1e-10));
  }
}

TEST_CASE("sets of which nothing can be are impossible") {
  const Law law;
  const LogConditionals model([&](const Tensor& x) { return law.conditionals(x); });
  Stream stream(5, "sets");
  auto known = some_sets();
  known.allowed[0][1].fill_(0);
  Query query{.partial = known.partial, .estimator = "chain", .allowed = known.allowed};
  CHECK(answer_from_conditionals(model, query, stream).value.item<double>() == -INFINITY);
  query.kind = QueryKind::kSample;
  CHECK_THROWS_AS(answer_from_conditionals(model, query, stream), ImpossibleGiven);
}
