#include "families.h"

using namespace marginalia;
using namespace marginalia::test::families;
using torch::Tensor;

namespace {

TEST_CASE("a family's answers have their shapes, repeat, and name their estimator") {
  for (const auto kind : {QueryKind::kLogMarginal, QueryKind::kConditionals, QueryKind::kSample,
                          QueryKind::kMaxProbable, QueryKind::kLogZ}) {
    const std::string kind_name(to_string(kind));
    CAPTURE(kind_name);
    for_each_capability(kind, [&](const Family& family, const Capability& c) {
      const auto& space = family.space();
      const auto partial = test::mixed_states(space, 5);
      const auto before = partial.clone();
      const Query query{kind, partial, {}, c.estimator};
      const auto answer = ask(family, query);
      CHECK(partial.equal(before));
      CHECK(answer.estimator == c.estimator);
      CHECK(answer.passes >= 0);
      const auto B = partial.size(0), D = space.dimension(), K = space.levels();
      REQUIRE(answer.value.defined());
      CHECK(answer.value.is_cpu());
      // log q of a sample may be unknown; every other number is one
      if (kind != QueryKind::kSample) CHECK_FALSE(answer.value.isnan().any().item<bool>());
      if (kind == QueryKind::kConditionals)
        CHECK(answer.value.sizes() == at::IntArrayRef{B, D, K});
      else
        CHECK(answer.value.sizes() == at::IntArrayRef{kind == QueryKind::kLogZ ? 1 : B});
      if (kind != QueryKind::kConditionals) CHECK((answer.value.scalar_type() == torch::kDouble));
      const auto again = ask(family, query);
      CHECK(same_values(again.value, answer.value));
      if (kind == QueryKind::kSample || kind == QueryKind::kMaxProbable)
        CHECK(again.states.equal(answer.states));
    });
  }
}

TEST_CASE("the first estimator is the default, and one that is not there is refused") {
  for_each_family([](Trained4& t) {
    const auto first = t.family().capabilities().front();
    const auto partial = test::mixed_states(t.family().space(), 2);
    CHECK(ask(t.family(), {first.kind, partial}).estimator == first.estimator);
    CHECK_THROWS_AS(ask(t.family(), {first.kind, partial, {}, "tea_leaves"}), SpecError);
  });
}

TEST_CASE("a family refuses what is no partial state") {
  for_each_family([](Trained4& t) {
    const auto first = t.family().capabilities().front();
    const auto& label = t.family().label();
    const auto refused = [&](const Tensor& partial) {
      return test::refusal([&] { ask(t.family(), {first.kind, partial}); });
    };
    const auto D = t.family().space().dimension(), last = t.family().space().cardinalities[0] - 1;
    CHECK(refused(torch::full({1, D}, last + 1, torch::kLong)) ==
          fmt::format("{}: variable 0 must be 0 to {} or -1 for unknown, not {}", label, last,
                      last + 1));
    CHECK(refused(torch::zeros({1, D - 1}, torch::kLong)) ==
          fmt::format("{}: states must be int64 [B, {}], not Long [1, {}]", label, D, D - 1));
  });
}

TEST_CASE("probabilities of all states sum to one") {
  for_each_capability(QueryKind::kLogMarginal, [](const Family& family, const Capability& c) {
    const auto states = all_states(family.space());
    const auto answer =
        ask(family, {QueryKind::kLogMarginal, states, {}, c.estimator, 2, Order::kForward});
    if (normalised(c, answer))
      CHECK(answer.value.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
    const auto nothing =
        ask(family, {QueryKind::kLogMarginal, family.space().empty(), {}, c.estimator});
    CHECK(std::abs(nothing.value.item<double>()) < 1e-5);  // p(nothing known) = 1
  });
}

TEST_CASE("probabilities given evidence sum to one over what is asked for") {
  for_each_capability(QueryKind::kLogMarginal, [](const Family& family, const Capability& c) {
    const auto& space = family.space();
    const auto middle = space.dimension() / 2, last = space.dimension() - 1;
    const StateSpace asked{
        {space.cardinalities[std::size_t(middle)], space.cardinalities[std::size_t(last)]}, {2}};
    const auto values = all_states(asked);
    auto given = space.empty().repeat({values.size(0), 1});
    given.select(1, 0).fill_(1);
    if (last - 1 > middle) given.select(1, last - 1).fill_(0);
    auto partial = given.clone();
    partial.select(1, middle).copy_(values.select(1, 0));
    partial.select(1, last).copy_(values.select(1, 1));
    const Query query{QueryKind::kLogMarginal, partial, given, c.estimator, 2, Order::kBackward};
    const auto answer = ask(family, query);
    if (normalised(c, answer))
      CHECK(answer.value.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
    const auto same = ask(family, {QueryKind::kLogMarginal, given, given, c.estimator}).value;
    CHECK((same.abs() < 1e-5).all().item<bool>());  // p(evidence given itself) = 1
  });
}

TEST_CASE("conditionals of every unknown variable sum to one") {
  for_each_capability(QueryKind::kConditionals, [](const Family& family, const Capability& c) {
    const auto partial = test::mixed_states(family.space(), 8);
    const auto log_p = ask(family, {QueryKind::kConditionals, partial, {}, c.estimator}).value;
    const auto sums = log_p.logsumexp(2).masked_select(partial == kUnknown);
    CHECK((sums.abs() < 1e-5).all().item<bool>());
  });
}

TEST_CASE("a value that a variable does not have has no probability, and is never drawn") {
  for_each_family([](Trained4& t) {
    const auto& space = t.family().space();
    const auto impossible = space.possible().logical_not();
    for (const auto& c : t.family().capabilities()) {
      CAPTURE(c.estimator);
      const auto partial = test::random_states(space, 64, 0.7);
      const auto answer = ask(t.family(), {c.kind, partial, {}, c.estimator});
      if (answer.states.defined())
        CHECK(test::refusal([&] { space.check(answer.states, false, "states"); }) == "accepted");
      if (c.kind != QueryKind::kConditionals) continue;
      const auto beyond = (partial == kUnknown).unsqueeze(2).logical_and(impossible);
      CHECK((answer.value.masked_select(beyond) == -INFINITY).all().item<bool>());
    }
  });
}

TEST_CASE("samples keep the evidence, and are scored along their own order") {
  for_each_capability(QueryKind::kSample, [](const Family& family, const Capability& c) {
    const auto& space = family.space();
    const auto partial = test::mixed_states(space, 12);
    for (const auto order : {Order::kForward, Order::kBackward}) {
      const auto answer = ask(family, {QueryKind::kSample, partial, {}, c.estimator, 1, order});
      CHECK(test::refusal([&] { space.check(answer.states, false, "samples"); }) == "accepted");
      const auto known = partial != kUnknown;
      CHECK(answer.states.masked_select(known).equal(partial.masked_select(known)));
      for (const auto route : {Route::kAlongOrder, Route::kExact}) {
        const auto way = family.by_route(QueryKind::kLogMarginal, route);
        if (!way) continue;
        const auto scored = ask(
            family, {QueryKind::kLogMarginal, answer.states, partial, way->estimator, 1, order});
        CHECK(test::close(scored.value, answer.value, 1e-4));
      }
    }
  });
}

/// Shares of values that are allowed: of most variables all, of others some, in whole or in part.
Tensor draw_allowed(const StateSpace& space, std::int64_t rows) {
  Stream stream(2, "allowed");
  const auto D = space.dimension(), K = space.levels();
  const auto share = (stream.uniform({rows, D, K}) * 4).floor() / 3;  // 0, 1/3, 2/3, 1
  auto some = share.to(torch::kDouble);
  some.select(2, 0).clamp_(1. / 3);  // something is left of every variable
  const auto all = (stream.uniform({rows, D, 1}) < 0.6).expand_as(some);
  return torch::where(all, torch::ones_like(some), some);
}

Evidence draw_evidence(const StateSpace& space, std::int64_t rows) {
  const auto partial = test::mixed_states(space, rows);
  return {partial, draw_allowed(space, partial.size(0))};
}

/// log p(x_S, A) by all states: float64 [B].
Tensor sum_over_states(const Family& family, const std::string& estimator, const Evidence& known) {
  const auto states = all_states(family.space());
  const auto log_p = ask(family, {QueryKind::kLogMarginal, states, {}, estimator}).value;
  std::vector<Tensor> sums;
  for (const auto& row : known.split(1)) {
    const auto fits = (row.partial == kUnknown).logical_or(row.partial == states).all(1);
    const auto repeated = row.of_rows(torch::zeros({states.size(0)}, torch::kLong));
    const auto joint = log_p + repeated.log_allowed(states);
    sums.push_back(joint.masked_fill(fits.logical_not(), -INFINITY).logsumexp(0));
  }
  return torch::stack(sums);
}

TEST_CASE("of sets of values a family sums what they allow") {
  for_each_capability(QueryKind::kLogMarginal, [](const Family& family, const Capability& c) {
    const auto& space = family.space();
    const auto known = draw_evidence(space, 12);
    const Query query{.kind = QueryKind::kLogMarginal,
                      .partial = known.partial,
                      .estimator = c.estimator,
                      .allowed = known.allowed};
    if (!c.sets) {
      CHECK(test::refusal([&] { ask(family, query); }) != "accepted");
      return;
    }
    const auto log_p = ask(family, query).value;
    if (c.status == Status::kExact)
      CHECK(test::close(log_p, sum_over_states(family, c.estimator, known), 1e-6));
    if (c.estimator == "paths") return;  // draws; tests/inference/paths.cpp holds it to its law
    // What one variable is allowed, and what it is not: together everything.
    auto one = torch::ones({2, space.dimension(), space.levels()}, torch::kDouble);
    one[0][1] = known.allowed[0][1] * 0.5;
    one[1][1] = 1 - one[0][1];
    auto halves = query;
    halves.partial = space.empty().repeat({2, 1});
    halves.allowed = one;
    CHECK(ask(family, halves).value.logsumexp(0).item<double>() ==
          doctest::Approx(0).epsilon(1e-5));
  });
}

TEST_CASE("conditionals given sets of values are shares of their sums") {
  for_each_capability(QueryKind::kConditionals, [](const Family& family, const Capability& c) {
    if (!c.sets) return;
    const auto& space = family.space();
    const auto known = draw_evidence(space, 8);
    const auto log_p = ask(family, {.kind = QueryKind::kConditionals,
                                    .partial = known.partial,
                                    .estimator = c.estimator,
                                    .allowed = known.allowed})
                           .value;
    const auto sums = log_p.logsumexp(2).masked_select(known.partial == kUnknown);
    CHECK((sums.abs() < 1e-5).all().item<bool>());
    const auto ruled_out = (known.allowed == 0).logical_and(known.partial.unsqueeze(2) == kUnknown);
    CHECK((log_p.masked_select(ruled_out) == -INFINITY).all().item<bool>());
    if (c.status != Status::kExact) return;
    for (std::int64_t i = 0; i < space.dimension(); ++i)
      for (std::int64_t k = 0; k < space.cardinalities[std::size_t(i)]; ++k) {
        auto with = known;  // of one value of one variable, as much as is allowed
        with.allowed = known.allowed.clone();
        const auto share = known.allowed.select(1, i).select(1, k);
        with.allowed.select(1, i).fill_(0);
        with.allowed.select(1, i).select(1, k).copy_(share);
        const auto joint = sum_over_states(family, c.estimator, with) -
                           sum_over_states(family, c.estimator, known);
        const auto open = known.partial.select(1, i) == kUnknown;
        CHECK(test::close(log_p.select(1, i).select(1, k).masked_select(open).exp(),
                          joint.masked_select(open).exp(), 1e-6));
      }
  });
}

TEST_CASE("samples given sets of values are of them") {
  for_each_capability(QueryKind::kSample, [](const Family& family, const Capability& c) {
    if (!c.sets) return;
    const auto& space = family.space();
    const auto known = draw_evidence(space, 24);
    const auto answer = ask(family, {.kind = QueryKind::kSample,
                                     .partial = known.partial,
                                     .estimator = c.estimator,
                                     .allowed = known.allowed});
    CHECK(test::refusal([&] { space.check(answer.states, false, "samples"); }) == "accepted");
    const auto kept = known.partial != kUnknown;
    CHECK(answer.states.masked_select(kept).equal(known.partial.masked_select(kept)));
    const auto share = known.log_allowed(answer.states);
    CHECK(share.isfinite().all().item<bool>());
    const auto exact = family.by_route(QueryKind::kLogMarginal, Route::kOnePass);
    if (!exact || exact->status != Status::kExact) return;
    const auto joint =
        ask(family, {QueryKind::kLogMarginal, answer.states, {}, "one_pass"}).value + share;
    CHECK(test::close(joint - sum_over_states(family, "one_pass", known), answer.value, 1e-6));
  });
}

TEST_CASE("the most probable completion keeps the evidence, and says how probable it is") {
  for_each_capability(QueryKind::kMaxProbable, [](const Family& family, const Capability& c) {
    const auto partial = test::mixed_states(family.space(), 6);
    const auto answer = ask(family, {QueryKind::kMaxProbable, partial, {}, c.estimator});
    CHECK(test::refusal([&] { family.space().check(answer.states, false, "states"); }) ==
          "accepted");
    const auto known = partial != kUnknown;
    CHECK(answer.states.masked_select(known).equal(partial.masked_select(known)));
    const auto scored = ask(family, {QueryKind::kLogMarginal, answer.states, partial});
    CHECK(test::close(scored.value, answer.value, 1e-6));
  });
}

TEST_CASE("the way of a route answers as its name does") {
  for_each_family([](Trained4& t) {
    for (const auto& c : t.family().capabilities()) {
      const auto way = t.family().by_route(c.kind, c.route);
      REQUIRE(way);
      CHECK((way->kind == c.kind && way->route == c.route));
      CHECK(has(t.family(), way->kind, way->estimator));
    }
    CHECK_FALSE(t.family().by_route(QueryKind::kLogZ, Route::kEnsemble));
  });
}

}  // namespace
