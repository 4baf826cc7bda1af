// Balance against sums over pairs and paths; trained laws against all states of small targets.
#include "marginalia_test.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/masking.h>

#include "bench_step.h"
#include "bits.h"
#include "host/evaluation/evaluator.h"
#include "host/training/trainer.h"
#include "plugins/families/gflownet/balance.h"
#include "plugins/families/gflownet/policy.h"
#include "records/runs/run_directory.h"
#include "small_models.h"

using namespace marginalia;
using test::kSmallSpace;

namespace {

/// Every state of kSmallSpace in every order: 12 x 6 paths, the order fastest.
gflownet::Paths all_paths() {
  const auto states = all_states(kSmallSpace);
  return {states.repeat_interleave(6, 0),
          torch::cat(test::all_orders(3)).repeat({states.size(0), 1})};
}

/// A small network of random parameters with every head that the family may ask for.
RoleNetwork network() {
  torch::manual_seed(5);
  const auto spec = Spec::from_text(R"({"type": "mlp", "hidden": 12, "layers": 2})", "spec.json");
  const NetworkContext context{kSmallSpace, kLogits | kPositionLogits | kLogMarginal};
  const auto made = test::loaded_registry().make<Network>(spec, context);
  torch::NoGradGuard no_grad;
  for (auto& parameter : made->parameters())
    parameter.mul_(3);
  return {"conditional", made, at::kCPU};
}

/// log of what the network's softmax says of `chosen` among `among`, of one row.
double log_share(const Tensor& logits, const Tensor& among, std::int64_t chosen) {
  double sum = 0;
  for (std::int64_t i = 0; i < logits.numel(); ++i)
    if (among[i].item<bool>()) sum += std::exp(logits[i].item<double>());
  return logits[chosen].item<double>() - std::log(sum);
}

/// log p, log o and log b of the t-th step of a path, from one pass each.
struct ByHand {
  double value, forward, backward;
};
ByHand step_by_hand(Network& net, const Tensor& state, const Tensor& order, std::int64_t t) {
  auto s = torch::full({1, 3}, kUnknown, torch::kLong);
  for (std::int64_t u = 0; u < t; ++u) {
    const auto i = order[u].item<std::int64_t>();
    s[0][i] = state[i];
  }
  const auto i = order[t].item<std::int64_t>(), k = state[i].item<std::int64_t>();
  const auto at = [&](const Tensor& x) { return net.evaluate({x}, kLogits | kPositionLogits); };
  const auto heads = at(s);
  auto next = s.clone();
  next[0][i] = k;
  const auto possible = torch::arange(3) < kSmallSpace.cardinalities[std::size_t(i)];
  return {log_share(heads.logits[0][i], possible, k),
          log_share(heads.position_logits[0], s[0] == kUnknown, i),
          log_share(at(next).position_logits[0], next[0] != kUnknown, i)};
}

const char* kPlain = R"({"type": "mlp", "hidden": 64, "layers": 2})";
const char* kLocal = R"({"type": "mlp", "hidden": 64, "layers": 2, "prior": "local"})";

/// A run of the family on a spec of the 3 x 3 torus.
struct Learned {
  test::TempDir folder;
  std::unique_ptr<Experiment> experiment;
  Json result;

  Learned(const std::string& family, int steps, const std::string& more = "",
          const std::string& network = kPlain) {
    const auto text =
        fmt::format(R"({{"marginalia": 1, "seed": 2,
    "energy": {{"type": "ising", "side": 3, "coupling": 0.2, "field": 0.2}},
    "network": {}, "family": {{"type": "gflownet", {}}},
    "training": {{"steps": {}, "batch_size": 64, "moving_average": 0.98,
                 "optimizer": {{"learning_rate": 0.005, {}}}, "schedule": {{"type": "cosine"}}}},
    "evaluation": {{"rows": 2000, {} "metrics": ["log_z", "ess", "kl_reverse", "terminal_variation",
                                     {{"type": "marginal_error", "sizes": []}}]}}}})",
                    network, family, steps,
                    family.find("log_variance") == std::string::npos ? R"("factors": {"log_z": 10})"
                                                                     : R"("factors": {})",
                    more);
    experiment = std::make_unique<Experiment>(test::in_float32(Spec::from_text(text, "spec.json")),
                                              test::loaded_registry(), "cpu");
    const auto run = RunDirectory::create(folder / "run", false);
    train(*experiment, run, {}, {});
    load_model(run.checkpoints() / "last.safetensors", *experiment->family);
    result = evaluate(
        *experiment,
        {experiment->evaluation.metrics, {2000, false}, Split::kTest, experiment->seed, NAN});
  }
  double at(const std::string& key) const { return measured_value(result, key); }
  double log_z_error() const { return std::abs(at("log_z/learned") - at("log_z/exact")); }
  std::string unavailable(const std::string& metric) const {
    return result.contains("unavailable") && result["unavailable"].contains(metric)
               ? result["unavailable"][metric].get<std::string>()
               : "available";
  }
};

}  // namespace

TEST_CASE("balance is the weighted sum over pieces of trajectories") {
  torch::manual_seed(1);
  const std::int64_t D = 5;
  const auto flow = torch::randn({4, D + 1}), links = torch::randn({4, D});
  const auto lambda = 0.7;
  // written out, each piece from its flows and its steps
  double whole = 0, single = 0, pieces = 0, total = 0;
  for (std::int64_t i = 0; i <= D; ++i)
    for (auto j = i + 1; j <= D; ++j) {
      const auto weight = std::pow(lambda, double(j - i));
      total += weight;
      for (std::int64_t b = 0; b < 4; ++b) {
        auto residual = (flow[b][i] - flow[b][j]).item<double>();
        for (auto t = i; t < j; ++t)
          residual += links[b][t].item<double>();
        const auto square = residual * residual / 4;
        if (j - i == D) whole += square;
        if (j - i == 1) single += square / double(D);
        pieces += weight * square;
      }
    }
  const auto c = gflownet::potentials(flow, links);
  const auto loss = [&](const gflownet::Objective& objective) {
    const auto w = gflownet::pair_weights(objective, D);
    CHECK(w.sum().item<double>() == doctest::Approx(1).epsilon(1e-6));
    return gflownet::balance(c, w).item<double>();
  };
  CHECK(loss(gflownet::TrajectoryBalance{}) == doctest::Approx(whole).epsilon(1e-5));
  CHECK(loss(gflownet::DetailedBalance{}) == doctest::Approx(single).epsilon(1e-5));
  CHECK(loss(gflownet::SubtrajectoryBalance{lambda}) ==
        doctest::Approx(pieces / total).epsilon(1e-5));
  // far from 1, lambda^n of hundreds of steps still has a sum
  const gflownet::SubtrajectoryBalance far{0.01};
  CHECK(gflownet::pair_weights(far, 300).isfinite().all().item<bool>());

  const auto log_f = torch::randn({4}), sums = links.sum(1);
  double mean = 0, square = 0;
  for (std::int64_t b = 0; b < 4; ++b)
    mean += (log_f - sums)[b].item<double>() / 4;
  for (std::int64_t b = 0; b < 4; ++b)
    square += std::pow((log_f - sums)[b].item<double>() - mean, 2) / 3;
  const auto ratio = log_f - sums;
  CHECK(gflownet::log_variance(ratio, ratio.mean(), ratio.size(0)).item<double>() ==
        doctest::Approx(square));
}

TEST_CASE("the marginals of a target are its balanced flows, in every order") {
  const auto energy = test::make<Energy>(R"({"type": "ising", "side": 3, "coupling": 0.4})");
  const EnumerationOracle oracle(*energy);
  Stream stream(2, "test");
  const auto x = uniform_states(energy->space(), 8, stream);
  const gflownet::Paths paths{x, stream.permutations(8, 9)};
  const auto along = gflownet::states_along(paths, 0, 9);
  CHECK((along != kUnknown).sum(1).view({8, 10}).equal(torch::arange(10).expand({8, 10})));
  const auto flow = oracle.log_sum(along).view({8, 10});
  auto links = torch::empty({8, 9}, torch::kDouble);  // log p(x_i | x_S) of the target
  for (std::int64_t t = 0; t < 9; ++t) {
    auto sums = std::vector<Tensor>();
    for (std::int64_t k = 0; k < 2; ++k) {
      auto s = along.view({8, 10, 9}).select(1, t).clone();
      s.scatter_(1, paths.orders.slice(1, t, t + 1), k);
      sums.push_back(oracle.log_sum(s));
    }
    const auto value = x.gather(1, paths.orders.slice(1, t, t + 1));
    links.select(1, t).copy_(torch::stack(sums, 1).log_softmax(1).gather(1, value).squeeze(1));
  }
  const auto c = gflownet::potentials(flow, links);
  CHECK((c - oracle.log_z()).abs().max().item<double>() < 1e-9);
  const auto ratio = flow.select(1, 9) - links.sum(1);
  CHECK(gflownet::log_variance(ratio, ratio.mean(), ratio.size(0)).item<double>() < 1e-18);
}

TEST_CASE("steps weigh values and positions, and sum to one over all paths") {
  torch::NoGradGuard no_grad;
  const auto net = network();
  const auto paths = all_paths();
  for (const bool backward : {false, true}) {
    CAPTURE(backward);
    const gflownet::Policy policy(gflownet::Ordering::kLearned, backward, net, net);
    const auto links = policy.links(paths, 0);
    double total = 0;
    for (std::int64_t n = 0; n < paths.states.size(0); ++n) {
      double chance = 0;  // log P_F of the path
      for (std::int64_t t = 0; t < 3; ++t) {
        const auto s = step_by_hand(*net, paths.states[n], paths.orders[n], t);
        chance += s.value + s.forward;
        const auto expected =
            s.value + s.forward + (backward ? -s.backward : std::log(3.0 - double(t)));
        CHECK(links[n][t].item<double>() == doctest::Approx(expected).epsilon(1e-4));
      }
      total += std::exp(chance);
    }
    CHECK(total == doctest::Approx(1).epsilon(1e-5));
    CHECK(policy.links(paths, 1).allclose(links.slice(1, 1), 1e-4, 1e-6));
  }
  const gflownet::Policy random(gflownet::Ordering::kRandom, false, net, std::nullopt);
  const auto log_q = random.links(paths, 0).sum(1).to(torch::kDouble);
  // each order alone is a law of full states
  CHECK(log_q.view({12, 6}).logsumexp(0).abs().max().item<double>() < 1e-5);
}

TEST_CASE("paths of a learned order are drawn by its own law, and so is what completes evidence") {
  torch::NoGradGuard no_grad;
  const auto net = network();
  const gflownet::Policy policy(gflownet::Ordering::kLearned, false, net, net);
  Stream stream(4, "test");
  const auto paths = all_paths();
  const auto p = (policy.links(paths, 0).sum(1).exp() / 6).to(torch::kDouble);  // P_F
  const auto count = [](const gflownet::Paths& all, const gflownet::Paths& drawn) {
    const auto same = (torch::cat({all.states, all.orders}, 1).unsqueeze(0) ==
                       torch::cat({drawn.states, drawn.orders}, 1).unsqueeze(1));  // [N, paths, 6]
    return same.all(2).sum(0);
  };
  constexpr std::int64_t N = 20000;
  const auto walk = policy.complete(kSmallSpace.empty().repeat({N, 1}), {}, stream);
  const auto deviations = (count(paths, walk.paths) - N * p) / (N * p).sqrt();
  CHECK(deviations.masked_select(N * p > 5).abs().max().item<double>() < 4.5);

  auto given = kSmallSpace.empty().repeat({N, 1});
  given.select(1, 1).fill_(2);
  const auto rest = policy.complete(given, {}, stream).paths;
  CHECK(rest.states.select(1, 1).eq(2).all().item<bool>());
  CHECK(rest.orders.select(1, 0).eq(1).all().item<bool>());
  const auto fits = (paths.orders.select(1, 0) == 1).logical_and(paths.states.select(1, 1) == 2);
  const auto q = torch::where(fits, policy.links(paths, 1).sum(1).exp() / 2, torch::zeros({72}))
                     .to(torch::kDouble);
  CHECK(q.sum().item<double>() == doctest::Approx(1).epsilon(1e-5));
  const auto apart = (count(paths, rest) - N * q) / (N * q).clamp_min(1e-9).sqrt();
  CHECK(apart.masked_select(N * q > 5).abs().max().item<double>() < 4.5);
}

TEST_CASE("a uniform backward law weighs what completes evidence, whatever b was learned") {
  torch::NoGradGuard no_grad;
  const auto net = network();
  const gflownet::Policy policy(gflownet::Ordering::kLearned, true, net, net);
  const auto paths = all_paths();
  for (std::int64_t n = 0; n < 72; n += 5) {
    double by_hand = 0;  // log p + log o, and log 2! for the uniform b of two unknown variables
    for (std::int64_t t = 1; t < 3; ++t) {
      const auto step = step_by_hand(*net, paths.states[n], paths.orders[n], t);
      by_hand += step.value + step.forward;
    }
    const gflownet::Paths one{paths.states.slice(0, n, n + 1), paths.orders.slice(0, n, n + 1)};
    CHECK(policy.links_of_uniform(one, 1).sum().item<double>() ==
          doctest::Approx(by_hand + std::log(2)).epsilon(1e-4));
  }
  // which makes exp(log q) an unbiased weight: sum over orders of q(path) / w(path) is one
  const auto path = (policy.links_of_uniform(paths, 0).sum(1).exp() / 6).to(torch::kDouble);
  CHECK(path.sum().item<double>() == doctest::Approx(1).epsilon(1e-5));
}

TEST_CASE("exploration is a mixture of what is possible") {
  const auto p = torch::tensor({0.7, 0.2, 0.1, 0.0}, torch::kDouble);
  const auto q = gflownet::explored(p.log(), {.uniform = 0.3, .temperature = 2});
  const auto norm = std::sqrt(0.7) + std::sqrt(0.2) + std::sqrt(0.1);
  for (std::int64_t k = 0; k < 3; ++k)
    CHECK(q[k].exp().item<double>() ==
          doctest::Approx(0.7 * std::sqrt(p[k].item<double>()) / norm + 0.1));
  CHECK(q[3].item<double>() == -INFINITY);
  CHECK(gflownet::explored(p.log(), {}).equal(p.log()));
}

TEST_CASE("every objective learns the target and log Z") {
  for (const std::string objective :
       {"trajectory_balance", "detailed_balance", "subtrajectory_balance", "log_variance"}) {
    CAPTURE(objective);
    const bool flows = objective != "trajectory_balance" && objective != "log_variance";
    const Learned t(fmt::format(R"("objective": "{}", "order": "forward")", objective), 300,
                    R"("order": "forward",)", flows ? kLocal : kPlain);
    MESSAGE(objective, ": ", t.at("terminal_variation/exact"), ", log Z off by ", t.log_z_error());
    CHECK(t.at("terminal_variation/exact") < 0.02);
    CHECK(t.log_z_error() < 0.02);
  }
}

TEST_CASE("in random order flows are marginals") {
  const auto learned = [](int steps) {
    return Learned(R"("objective": "detailed_balance",
                      "exploration": {"uniform": 0.05, "temperature": 1.2},
                      "replay": {"size": 512, "share": 0.25})",
                   steps, "", kLocal);
  };
  const auto before = learned(1), after = learned(400);  // what the prior says, and what is learned
  MESSAGE("TV ", before.at("terminal_variation/exact"), " to ",
          after.at("terminal_variation/exact"), ", log Z off by ", before.log_z_error(), " to ",
          after.log_z_error(), ", marginals ", before.at("marginal_error/one_pass"), " to ",
          after.at("marginal_error/one_pass"));
  CHECK(after.at("terminal_variation/exact") < 0.02);
  CHECK(after.log_z_error() < 0.02);
  CHECK(after.at("marginal_error/one_pass") < 0.05);
}

TEST_CASE("a learned order samples the target, and weighs what it samples") {
  for (const std::string backward : {"uniform", "learned"}) {
    CAPTURE(backward);
    const Learned t(fmt::format(R"("objective": "trajectory_balance", "order": "learned",
                                   "backward": "{}")",
                                backward),
                    400);
    MESSAGE(backward, ": ESS ", t.at("ess/importance"), ", log Z off by ", t.log_z_error());
    CHECK(t.at("ess/importance") > 0.9);
    CHECK(t.log_z_error() < 0.1);
    CHECK(std::abs(t.at("log_z/importance") - t.at("log_z/exact")) < 0.05);
    CHECK(t.unavailable("terminal_variation") ==
          "needs the conditionals that samples are drawn by, in one pass; of these the family "
          "offers: none");
    // Drawn given all but three variables, 1 / q is on average the number of completions.
    const auto& family = *t.experiment->family;
    auto given = family.space().empty().repeat({4000, 1});
    given.slice(1, 3).fill_(1);
    Stream stream(8, "completions");
    const auto drawn = family.answer({.kind = QueryKind::kSample, .partial = given}, stream);
    CHECK((-drawn.value).exp().mean().item<double>() == doctest::Approx(8).epsilon(0.1));
  }
}

TEST_CASE("a fixed order answers what begins it, exactly, and refuses the rest") {
  const Learned t(R"("order": "backward")", 20);
  const auto& family = *t.experiment->family;
  Stream stream(1, "test");
  const auto ask = [&](QueryKind kind, const Tensor& x, Order order = Order::kRandom) {
    return family.answer({.kind = kind, .partial = x, .order = order}, stream);
  };
  const auto states = all_states(family.space());
  const auto log_p = ask(QueryKind::kLogMarginal, states).value;
  CHECK(log_p.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
  auto last = family.space().empty();
  last[0][8] = 1;
  last[0][7] = 0;
  const auto fits = (states.select(1, 8) == 1).logical_and(states.select(1, 7) == 0);
  CHECK(ask(QueryKind::kLogMarginal, last).value.item<double>() ==
        doctest::Approx(log_p.masked_select(fits).logsumexp(0).item<double>()).epsilon(1e-5));
  auto first = family.space().empty();
  first[0][0] = 1;
  for (const auto kind : {QueryKind::kLogMarginal, QueryKind::kConditionals, QueryKind::kSample})
    CHECK(test::refusal([&] { ask(kind, first); }) ==
          family.label() +
              ": learned in backward order alone, what is known must come first in it; in random "
              "order (\"order\" of the family) it answers all questions");
  CHECK(test::refusal([&] { ask(QueryKind::kSample, last, Order::kForward); }) ==
        family.label() + ": learned in backward order alone, asked for forward");
}

TEST_CASE("from data an energy and its sampler learn together") {
  const test::TempDir folder;
  test::write_bits(folder / "rows.txt");
  const auto build = [&](const std::string& network, const std::string& family) {
    const auto text = fmt::format(R"({{"marginalia": 1, "seed": 2,
    "dataset": {{"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"}},
    "network": {}, "family": {{"type": "gflownet", {}}},
    "training": {{"steps": 600, "batch_size": 64, "moving_average": 0.98,
                 "optimizer": {{"learning_rate": 0.003, "factors": {{"log_z": 10}}}}}},
    "evaluation": {{"metrics": ["nll"]}}}})",
                                  network, family);
    return std::make_unique<Experiment>(
        test::in_float32(Spec::from_text(text, "spec.json", {folder.path(), folder.path()})),
        test::loaded_registry(), "cpu");
  };
  const std::string mlp = R"({"type": "mlp", "hidden": 32, "layers": 2})";
  CHECK(test::refusal([&] { build(mlp, R"("lambda": 0.9)"); }).find("a network of its own") !=
        std::string::npos);
  const auto networks =
      fmt::format(R"({{"conditional": {0}, "marginal": {0}, "energy": {0}}})", mlp);
  for (const std::string steps : {"0", "3"}) {
    CAPTURE(steps);
    const auto experiment =
        build(networks, fmt::format(R"("energy_model": {{"steps": {}}})", steps));
    const auto run = RunDirectory::create(folder / ("run" + steps), false);
    train(*experiment, run, {}, {});
    load_model(run.checkpoints() / "last.safetensors", *experiment->family);
    const auto result = evaluate(
        *experiment,
        {experiment->evaluation.metrics, {400, false}, Split::kTest, experiment->seed, NAN});
    // the rows' own entropy is log 2 + 5 h(0.2) = 3.195 nats, without learning 6 log 2 = 4.159
    MESSAGE("nll ", measured_value(result, "nll/ensemble"), " and of the energy ",
            measured_value(result, "nll/one_pass"));
    CHECK(measured_value(result, "nll/ensemble") < 3.35);
    CHECK(std::abs(measured_value(result, "nll/one_pass") - 3.195) < 0.2);
  }
}
