// The parts of masked diffusion: its process, its samplers, and the paths that it keeps.
#include <cmath>
#include <map>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/enumeration.h>

#include "marginalia_test.h"

// A plugin exports nothing to link with.
#include "bench_step.h"
#include "plugins/families/masked_diffusion/absorbing.h"
#include "plugins/families/masked_diffusion/paths.h"
#include "plugins/families/masked_diffusion/sampling.h"

using namespace marginalia;
using namespace masked_diffusion;
using test::all_orders;
using test::check_mean;
using torch::Tensor;

namespace {

/// A random law on 2 x 3 x 2 x 2 states, whose conditionals are sums of its table.
struct Law {
  StateSpace space{{2, 3, 2, 2}, {4}, {}};
  Tensor states = all_states(space);  // [24, 4]
  Tensor p;
  explicit Law(int seed) {
    torch::manual_seed(seed);
    p = (1.5 * torch::randn({states.size(0)}, torch::kDouble)).softmax(0);
  }
  Tensor log_conditionals(const Tensor& partial) const {
    const auto x = partial.unsqueeze(1);  // [B, 1, D]
    const auto agrees = (x == kUnknown).logical_or(x == states).all(2).to(torch::kDouble);
    const auto one_hot = (states.unsqueeze(2) == torch::arange(3)).to(torch::kDouble);
    const auto sums = (agrees * p).mm(one_hot.flatten(1)).view({partial.size(0), 4, 3});
    return (sums / sums.sum(2, true)).log();
  }
  LogConditionals exact() const {
    return [this](const Tensor& s) { return log_conditionals(s); };
  }
  /// Conditionals of no one law: those of p to a power that grows with what is known.
  LogConditionals warped() const {
    return [this](const Tensor& s) {
      const auto known = (s != kUnknown).sum(1).to(torch::kDouble).view({-1, 1, 1});
      return ((1 + 0.4 * known) * log_conditionals(s)).log_softmax(2);
    };
  }
  /// How many of `x` are each of the states, in standard deviations from n p: [24].
  Tensor deviations(const Tensor& x, const Tensor& of) const {
    const auto counts = (x.unsqueeze(1) == states).all(2).sum(0).to(torch::kDouble);
    const auto expected = of * double(x.size(0));
    return (counts - expected) / expected.sqrt();
  }
};

/// log p(x_Q | x_E, order), one row of x, for every order: [D!].
Tensor score_chains(const LogConditionals& model, const Tensor& x, const Tensor& given = {}) {
  std::vector<Tensor> all;
  for (const auto& order : all_orders(x.size(1)))
    all.push_back(score_chain(model, x, given, order).log_prob);
  return torch::cat(all);
}

}  // namespace

TEST_CASE("a schedule goes from nothing hidden to all, and its weight is d log m / dt") {
  const auto t = torch::linspace(0.01, 0.99, 50, torch::kDouble);
  for (const std::string name : {"linear", "quadratic", "cosine"}) {
    CAPTURE(name);
    const auto schedule = schedule_named(name);
    const auto ends = hidden_share(schedule, torch::tensor({0.0, 1.0}, torch::kDouble));
    CHECK(torch::allclose(ends, torch::tensor({0.0, 1.0}, torch::kDouble)));
    const auto m = [&](const Tensor& at) { return hidden_share(schedule, at); };
    CHECK((m(t).diff() > 0).all().item<bool>());
    CHECK(torch::allclose(time_of_share(schedule, m(t)), t));
    const auto slope = (m(t + 1e-5).log() - m(t - 1e-5).log()) / 2e-5;
    CHECK(torch::allclose(loss_weight(schedule, t), slope, 1e-6, 1e-6));
  }
  CHECK_THROWS_AS(schedule_named("sudden"), SpecError);
}

TEST_CASE("the bound is the mean over all orders, by times of any schedule and by sizes") {
  const Law law(1);
  const auto model = law.warped();
  Stream stream(4, "test");
  const auto x = torch::tensor({{1, 2, 0, 1}}, torch::kLong);
  const auto truth = -score_chains(model, x).mean().item<double>();
  const auto many = x.repeat({60000, 1}).contiguous();
  std::map<std::string, double> noise;
  const auto check = [&](const std::string& name, const Hidden& hidden) {
    CAPTURE(name);
    const auto losses = bound(model(hidden.partial), many, hidden);
    check_mean(losses, truth, 0.1);
    noise[name] = losses.std().item<double>();
  };
  for (const std::string name : {"linear", "quadratic", "cosine"})
    check(name, hide_by_time(many, schedule_named(name), 1e-6, stream));
  check("sizes", hide_by_size(many, stream));
  CHECK(noise.at("sizes") < noise.at("quadratic"));
  CHECK(noise.at("quadratic") < noise.at("linear"));
}

TEST_CASE("what is left out below the least time is what the bound lacks") {
  const Law law(1);
  const auto model = law.warped();
  Stream stream(4, "test");
  const auto x = torch::tensor({{0, 1, 1, 0}}, torch::kLong);
  // The integral over 0.3..1 of a polynomial in t, by the midpoint rule over times and all masks.
  const auto masks = all_states(StateSpace::uniform(4, 2)).to(torch::kBool);  // [16, 4]
  const auto log_p = model(x.expand({16, -1}).masked_fill(masks, kUnknown));
  const auto of_x = log_p.gather(2, x.expand({16, -1}).unsqueeze(2)).squeeze(2);
  const auto sum = -of_x.masked_fill(masks.logical_not(), 0).sum(1);
  double truth = 0;
  for (int n = 0; n < 2000; ++n) {
    const auto t = 0.3 + 0.7 * (n + 0.5) / 2000;
    const auto hidden = masks.sum(1).to(torch::kDouble);
    const auto chance = torch::pow(t, hidden) * torch::pow(1 - t, 4 - hidden);
    truth += 0.7 / 2000 / t * (chance * sum).sum().item<double>();
  }
  const auto many = x.repeat({60000, 1}).contiguous();
  const auto hidden = hide_by_time(many, Schedule::kLinear, 0.3, stream);
  check_mean(bound(model(hidden.partial), many, hidden), truth, 0.05);
}

TEST_CASE("the continuous-time estimate is unbiased, also given evidence and of a part") {
  const Law law(2);
  const auto model = law.warped();
  Stream stream(5, "test");
  const auto score = [&](const Tensor& x, const Tensor& given) {
    const auto rows = [](const Tensor& one) {
      return one.defined() ? one.repeat({20000, 1}).contiguous() : one;
    };
    const auto s = score_by_time(model, rows(x), rows(given), 3, stream);
    CHECK(s.passes < 3);  // some masks hide nothing
    CHECK(s.passes > 0.5);
    check_mean(s.log_prob, score_chains(model, x, given).mean().item<double>(), 0.05);
  };
  score(torch::tensor({{1, 2, 0, 1}}, torch::kLong), {});
  score(torch::tensor({{1, -1, 0, 1}}, torch::kLong), {});
  score(torch::tensor({{1, 2, 0, -1}}, torch::kLong),
        torch::tensor({{-1, 2, -1, -1}}, torch::kLong));
}

TEST_CASE("steps reveal each variable with the schedule's chance, and T of them have their law") {
  Stream stream(6, "test");
  for (const std::string name : {"linear", "quadratic", "cosine"}) {
    CAPTURE(name);
    const auto schedule = schedule_named(name);
    const auto time = draw_reveal_times(schedule, 20000, 3, 5, stream);
    for (int j = 0; j <= 5; ++j) {
      const auto alpha = 1 - hidden_share(schedule, torch::tensor(1 - j / 5.0)).item<double>();
      const auto before = (time < j).to(torch::kDouble).mean().item<double>();
      CHECK(std::abs(before - alpha) < 5 * 0.5 / std::sqrt(60000.0));
    }
  }
  CHECK((draw_reveal_times(Schedule::kLinear, 9, 4, 1, stream) == 0).all().item<bool>());

  // Two steps: the mean over the 16 ways to be in the first or the second.
  const Law law(3);
  const auto ways = all_states(StateSpace::uniform(4, 2));
  auto p = torch::zeros({24}, torch::kDouble);
  for (std::int64_t n = 0; n < 16; ++n)
    p += score_in_passes(law.exact(), law.states, {}, ways[n].expand({24, -1}).contiguous())
             .log_prob.exp() /
         16;
  CHECK((p - law.p).abs().sum().item<double>() > 0.1);  // a law of its own
  const auto nothing = law.space.empty().repeat({40000, 1});
  const auto time = draw_reveal_times(Schedule::kLinear, 40000, 4, 2, stream);
  const auto drawn = sample_in_passes(law.exact(), nothing, time, stream);
  CHECK(law.deviations(drawn.states, p).abs().max().item<double>() < 4.5);
}

TEST_CASE("a corrector that redraws one variable at a time brings steps back to the law") {
  const Law law(3);
  Stream stream(7, "test");
  auto given = law.space.empty().repeat({20000, 1});
  given.select(1, 2).fill_(1);
  const auto agrees = law.states.select(1, 2) == 1;
  const auto p = torch::where(agrees, law.p, 0.0) / law.p.masked_select(agrees).sum();
  const auto at_once = torch::zeros_like(given);
  const auto worst = [&](const Corrector& corrector) {
    const auto drawn = sample_corrected(law.exact(), given, at_once, corrector, stream);
    CHECK(drawn.states.select(1, 2).equal(given.select(1, 2)));
    CHECK(drawn.passes == 1 + corrector.rounds);
    CHECK(drawn.log_prob.isnan().all().item<bool>());
    return law.deviations(drawn.states, p).masked_select(agrees).abs().max().item<double>();
  };
  CHECK(worst({.rounds = 0}) > 10);
  CHECK(worst({.rounds = 40, .share = 0.1}) < 4.5);
  CHECK(worst({.rounds = 40, .share = 1}) > 10);  // all at a time: as bad as before

  const auto among = given == kUnknown;
  for (const auto& [share, count] : {std::pair{0.0, 1}, {0.5, 2}, {0.67, 2}, {1.0, 3}}) {
    const auto chosen = draw_subset(among, share, stream);
    CHECK((chosen.sum(1) == count).all().item<bool>());
    CHECK(chosen.logical_and(among.logical_not()).any().item<bool>() == false);
  }
}

TEST_CASE("kept paths weigh the same target, whichever model drew them and at any temperature") {
  const Law law(4), first(5), second(6);
  Stream stream(8, "test");
  Replay replay({.size = 50000, .fresh = 30000, .every = 7});
  CHECK(replay.due(0));
  for (const auto* model : {&first, &second}) {
    const auto index = torch::multinomial(model->p, 30000, true, stream.generator());
    replay.add(11, law.states.index({index}), law.p.log().index({index}),
               model->p.log().index({index}));
  }
  CHECK_FALSE(replay.due(17));
  CHECK(replay.due(18));
  for (const auto b : {1.0, 0.5}) {
    CAPTURE(b);
    const auto p = (b * law.p.log()).softmax(0);
    CHECK(replay.weights(b).numel() == 50000);  // the oldest went
    const auto drawn = replay.draw(40000, b, stream);
    const auto share = (drawn.unsqueeze(1) == law.states).all(2).to(torch::kDouble).mean(0);
    CHECK((share - p).abs().sum().item<double>() / 2 < 0.03);
    CHECK((share - first.p).abs().sum().item<double>() / 2 > 0.2);
  }
  // Of equal weights each is drawn once, and in a random order, so that no time goes with a weight.
  Replay equal({.size = 50, .fresh = 50, .every = 1});
  const auto counted = torch::arange(50).unsqueeze(1), even = torch::zeros({50}, torch::kDouble);
  equal.add(0, counted, even, even);
  const auto all = equal.draw(50, 1, stream);
  CHECK(std::get<0>(all.sort(0)).equal(counted));
  CHECK_FALSE(all.equal(counted));
  Replay two({.size = 4, .fresh = 2, .every = 1});
  const auto x = torch::tensor({{0}, {1}}, torch::kLong);
  const auto nothing = torch::zeros({2}, torch::kDouble);
  two.add(0, x, torch::full({2}, -INFINITY, torch::kDouble), nothing);
  CHECK_THROWS_AS(two.weights(1), Error);
  two.add(1, x, torch::tensor({double(-INFINITY), -3.0}, torch::kDouble), nothing);
  CHECK((two.draw(50, 1, stream) == 1).all().item<bool>());  // forbidden states are never drawn
}

TEST_CASE("the running log Z averages what batches of paths say") {
  RunningLogZ log_z;
  CHECK_THROWS_AS(log_z.value(), Error);
  const auto of = [](const std::vector<double>& W) { return torch::tensor(W, torch::kDouble); };
  log_z.add(of({-INFINITY, -INFINITY}));  // says nothing
  log_z.add(of({std::log(2.0), std::log(6.0), -INFINITY, -INFINITY}));
  CHECK(log_z.value().item<double>() == doctest::Approx(std::log(2.0)));
  log_z.add(of({std::log(4.0)}));  // the mean of Z, not of its log
  CHECK(log_z.value().item<double>() == doctest::Approx(std::log(3.0)));
  for (int n = 0; n < 300; ++n)
    log_z.add(of({3.0, 3.0}));
  CHECK(log_z.value().item<double>() == doctest::Approx(3).epsilon(1e-5));
}

TEST_CASE("paths that begin together have a variance of their own") {
  const auto W = torch::tensor({1.0, 4.0, 10.0, 11.0, 15.0}, torch::kDouble);
  const auto group = torch::tensor({0, 0, 1, 1, 1}, torch::kLong);
  auto log_q = torch::zeros({5}, torch::kDouble).requires_grad_();
  const auto loss = masked_diffusion::log_variance(W, log_q, group);
  CHECK(loss.item<double>() == doctest::Approx((2 * 4.5 + 3 * 7.0) / 5));
  // d/d log_q of the variances of W(log_q) = log f - log_q, with the paths held
  loss.backward();
  const auto mean = torch::tensor({2.5, 2.5, 12.0, 12.0, 12.0}, torch::kDouble);
  const auto weight = torch::tensor({2.0, 2.0, 1.5, 1.5, 1.5}, torch::kDouble) / 5;
  CHECK(log_q.grad().allclose(-2 * weight * (W - mean)));
  CHECK_THROWS_AS(
      masked_diffusion::log_variance(W, log_q, torch::tensor({0, 0, 1, 1, 2}, torch::kLong)),
      SpecError);

  Stream stream(5, "test");
  for (const std::int64_t rows : {9, 16, 17, 40}) {
    CAPTURE(rows);
    const auto branches = draw_branches(rows, 6, 4, 0.5, stream);
    CHECK(branches.roots.index_select(0, branches.parent).equal(branches.first));
    CHECK((branches.first >= 0).logical_and(branches.first < 6).all().item<bool>());
    const auto sizes = branches.parent.bincount();
    CHECK((sizes.slice(0, 1) == 4).all().item<bool>());
    CHECK(sizes[0].item<std::int64_t>() >= 2);
    CHECK(branches.first.slice(0, 0, sizes[0].item<std::int64_t>()).eq(0).all().item<bool>());
  }
}

TEST_CASE("some terms of a path have the mean of all from where it begins") {
  const Law law(3);
  const auto model = law.warped();
  const auto x = torch::tensor({{1, 2, 0, 1}}, torch::kLong), order = torch::tensor({{2, 0, 3, 1}});
  Stream stream(6, "test");
  constexpr std::int64_t N = 20000;
  for (const std::int64_t first : {0, 1, 3})
    for (const std::int64_t n : {1, 3, 4}) {
      CAPTURE(first);
      CAPTURE(n);
      const auto given = x.masked_fill(to_ranks(order) >= first, kUnknown);
      const auto truth = score_chain(model, x, given, order).log_prob.item<double>();
      const auto terms = some_terms(model, x.repeat({N, 1}), order.repeat({N, 1}),
                                    torch::full({N}, first, torch::kLong), n, stream);
      check_mean(terms, truth, 0.05);
    }
}
