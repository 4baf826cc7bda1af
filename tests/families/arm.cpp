#include <cmath>

#include <fmt/format.h>

#include "bench_step.h"
#include "bits.h"
#include "built.h"
#include "host/evaluation/evaluator.h"
#include "host/training/tensor_collector.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"
#include "small_models.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;

namespace {

/// Six bits, each likely to repeat the one before; a small causal transformer along `order`.
struct Chained {
  test::TempDir folder;
  std::unique_ptr<Experiment> experiment;

  explicit Chained(const std::string& order) {
    test::write_bits(folder / "rows.txt");
    const auto text = R"({"marginalia": 2, "seed": 1,
      "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"},
      "network": {"type": "transformer", "channels": 16, "depth": 1, "heads": 2},
      "family": {"type": "arm", "particles": 4000, )" +
                      order +
                      R"(},
      "training": {"steps": 150, "batch_size": 64, "optimizer": {"learning_rate": 0.01}}})";
    const auto spec = Spec::from_text(text, "spec.json", {folder.path(), folder.path()});
    experiment =
        std::make_unique<Experiment>(test::in_float32(spec), test::loaded_registry(), "cpu");
    const auto run = RunDirectory::create(folder / "run", false);
    train(*experiment, run, {}, {});
    experiment->family->set_training(false);
  }
  Answer ask(QueryKind kind, const Tensor& partial, const Tensor& given = {}) const {
    Stream stream(9, "test");
    torch::NoGradGuard no_grad;
    return experiment->family->answer({kind, partial, given}, stream);
  }
};

Experiment causal_square(const std::string& objective) {
  return test::square(R"({"type": "made", "hidden": 12, "layers": 1})",
                      fmt::format(R"({{"type": "arm", "objective": "{}"}})", objective), 0.4);
}

/// The gradient of KL(q || f^b / Z) by listing the 16 states.
Tensor exact_gradient(Experiment& experiment, double b) {
  const auto x = all_states(experiment.space());
  const auto order = torch::arange(4).expand({16, 4}).contiguous();
  const auto network = experiment.networks.at("causal", kCausalLogits);
  const auto log_p = network->evaluate({x, order}, kCausalLogits).causal_logits.log_softmax(2);
  const auto log_q = log_p.gather(2, x.unsqueeze(2)).squeeze(2).sum(1);
  (log_q.exp() * (log_q - b * experiment.energy->log_density(x))).sum().backward();
  return test::take_gradients(*experiment.family);
}

Tensor all_bits() {
  const auto index = torch::arange(64);
  std::vector<Tensor> columns;
  for (std::int64_t i = 0; i < 6; ++i)
    columns.push_back(torch::floor_divide(index, std::int64_t{1} << i).remainder(2));
  return torch::stack(columns, 1);
}

}  // namespace

TEST_CASE("an autoregressive model is normalised, learns, and is exact where S begins its order") {
  const Chained model(R"("sequence": [2, 0, 1, 5, 4, 3])");
  const auto states = all_bits();
  const auto answer = model.ask(QueryKind::kLogMarginal, states);
  CHECK((answer.status == Status::kExact));
  CHECK(answer.passes == 1);
  const auto p = answer.value.exp();
  CHECK(p.sum().item<double>() == doctest::Approx(1).epsilon(1e-5));
  // The truth repeats with probability 0.8: entropy log 2 + 5 x 0.5004.
  const auto truth = [&] {
    const auto repeats = (states.slice(1, 1) == states.slice(1, 0, 5)).sum(1).to(torch::kDouble);
    return std::log(0.5) + repeats * std::log(0.8) + (5 - repeats) * std::log(0.2);
  }();
  CHECK((truth.exp() * (truth - answer.value)).sum().item<double>() < 0.15);

  auto beginning = torch::full({1, 6}, kUnknown, torch::kLong);
  beginning[0][2] = 1;
  beginning[0][0] = 0;
  const auto exact = model.ask(QueryKind::kLogMarginal, beginning);
  CHECK((exact.status == Status::kExact));
  const auto agrees = ((beginning == kUnknown).logical_or(states == beginning)).all(1);
  CHECK(exact.value[0].item<double>() ==
        doctest::Approx(std::log(p.masked_select(agrees).sum().item<double>())).epsilon(1e-5));
}

TEST_CASE("particles estimate marginals, conditionals and completions of any other set") {
  const Chained model(R"("order": "backward")");
  const auto states = all_bits();
  const auto p = model.ask(QueryKind::kLogMarginal, states).value.exp();
  auto partial = torch::full({1, 6}, kUnknown, torch::kLong);
  partial[0][0] = 1;
  partial[0][3] = 0;
  const auto agrees = ((partial == kUnknown).logical_or(states == partial)).all(1);
  const auto total = p.masked_select(agrees).sum().item<double>();
  const auto estimate = model.ask(QueryKind::kLogMarginal, partial);
  CHECK((estimate.status == Status::kEstimate));
  CHECK(estimate.value[0].item<double>() == doctest::Approx(std::log(total)).epsilon(0.05));
  const auto conditionals = model.ask(QueryKind::kConditionals, partial).value.exp();
  const auto one = agrees.logical_and(states.select(1, 4) == 1);
  CHECK(std::abs(conditionals[0][4][1].item<double>() -
                 p.masked_select(one).sum().item<double>() / total) < 0.05);
}

TEST_CASE(
    "REINFORCE follows the gradient of the reverse KL, by whole log p and by one conditional") {
  std::map<std::string, double> noise;
  for (const std::string objective : {"reinforce", "monte_carlo"})
    for (const auto b : {1.0, 0.4}) {
      CAPTURE(objective);
      CAPTURE(b);
      auto experiment = causal_square(objective);
      const auto exact = exact_gradient(experiment, b);
      test::BenchStep bench(experiment, 1000);
      bench.energy().set_inverse_temperature(b);
      for (int n = 0; n < 150; ++n)
        experiment.family->step(bench);
      const auto seen = torch::stack(bench.gradients);  // [150, P]
      const auto error = seen.std(0) / std::sqrt(150.0);
      const auto apart = (seen.mean(0) - exact).abs();
      CHECK((apart <= 5 * error + 1e-9).all().item<bool>());
      // Close enough to tell: the gradient is many times what is left of the noise.
      CHECK(exact.norm().item<double>() > 5 * error.norm().item<double>());
      noise[objective] = error.norm().item<double>();
      CHECK(bench.passes == 150 * 1000 * 5);  // four to draw, one for all conditionals
      CHECK(bench.energy().evaluations() == 150 * 1000);
    }
  CHECK(noise.at("monte_carlo") > 2 * noise.at("reinforce"));
}

TEST_CASE("an autoregressive model learns an energy, and says its normaliser") {
  test::TempDir folder;
  auto experiment = test::built(R"({"marginalia": 2, "seed": 1,
      "energy": {"type": "ising", "side": 3, "coupling": 0.3, "field": 0.1},
      "network": {"type": "made", "hidden": 64, "layers": 2},
      "family": {"type": "arm"},
      "training": {"steps": 400, "batch_size": 128, "anneal": {"from": 0.3, "until": 0.4},
                   "optimizer": {"learning_rate": 0.005}, "schedule": {"type": "cosine"}},
      "evaluation": {"rows": 2000, "metrics": ["log_z", "kl_reverse", "kl_forward", "ess"]}})");
  const auto end = train(experiment, RunDirectory::create(folder / "run", false), {}, {}).state;
  CHECK(end.energy_evaluations == 400 * 128);
  CHECK(end.passes == 400 * 128 * 10);
  experiment.family->set_training(false);
  const auto result =
      evaluate(experiment,
               {experiment.evaluation.metrics, {2000, false}, Split::kTest, experiment.seed, NAN});
  const auto find_figure = [&](const std::string& key) { return measured_value(result, key); };
  CHECK(find_figure("kl_reverse/importance") < 0.03);
  CHECK(find_figure("kl_forward/importance") < 0.03);
  CHECK(find_figure("ess/importance") > 0.95);
  CHECK(std::abs(find_figure("log_z/importance") - find_figure("log_z/exact")) < 0.02);
  CHECK(result["metrics"]["kl_forward"]["importance"]["status"] == "estimate");
  // log q is the truth about the model: over all states it sums to one.
  Stream stream(4, "test");
  const auto log_q =
      experiment.family->answer({QueryKind::kLogMarginal, all_states(experiment.space())}, stream);
  CHECK((log_q.status == Status::kExact));
  CHECK(log_q.value.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
}

TEST_CASE("what an autoregressive model cannot learn from is refused") {
  const auto refused = [](const std::string& energy, const std::string& objective) {
    return test::refusal([&] {
      auto experiment = test::built(fmt::format(R"({{"marginalia": 2, "seed": 1, "energy": {},
          "network": {{"type": "made", "hidden": 4, "layers": 1}},
          "family": {{"type": "arm", "objective": "{}"}}}})",
                                                energy, objective));
      test::BenchStep bench(experiment, 64);
      experiment.family->step(bench);
    });
  };
  const std::string ising = R"({"type": "ising", "sides": [3]})";
  CHECK(refused(ising, "reinforce") == "accepted");
  CHECK(refused(ising, "likelihood") == "family arm (plugin arm): \"objective\": \"likelihood\" "
                                        "needs a \"dataset\"; the spec has none");
  CHECK(refused(R"({"type": "constrained", "given": "[1, null, null]", "energy": )" + ising + "}",
                "reinforce") ==
        "REINFORCE met a state that the energy forbids (log f = -inf), where KL(q || p) is "
        "infinite; give the energy a finite penalty, or take an objective that draws from it");
}

TEST_CASE("a network that sees its variables in one order is given no other") {
  const auto refused = [](const std::string& order) {
    return test::refusal([&] {
      test::built(R"({"marginalia": 2, "energy": {"type": "ising", "side": 3},
                      "network": {"type": "pixel_cnn", "channels": 4, "layers": 1},
                      "family": {"type": "arm", "order": ")" +
                  order + "\"}}");
    });
  };
  CHECK(refused("forward") == "accepted");
  CHECK(
      refused("backward")
          .find("\"order\": network pixel_cnn (plugin pixel_cnn) takes the variables in one order "
                "only, which begins 0, 1, 2; this is another") != std::string::npos);
}

TEST_CASE("variables of fewer values take no others") {
  const auto experiment =
      Experiment(test::in_float32(Spec::from_text(R"({"marginalia": 2, "seed": 1,
          "energy": {"type": "factor_graph", "file": "tiny.uai"},
          "network": {"type": "made", "hidden": 8, "layers": 1}, "family": {"type": "arm"}})",
                                                  "spec.json", {MARGINALIA_TEST_DATA, {}})),
                 test::loaded_registry(), "cpu");
  const auto& space = experiment.space();
  REQUIRE(space.mixed());
  Stream stream(3, "test");
  const Query query{QueryKind::kSample, space.empty().expand({200, -1}).contiguous()};
  const auto sample = experiment.family->answer(query, stream);
  CHECK(test::refusal([&] { space.check(sample.states, false, "samples"); }) == "accepted");
  const auto all = experiment.family->answer({QueryKind::kLogMarginal, all_states(space)}, stream);
  CHECK(all.value.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-5));
}

TEST_CASE("arm's random order is of the seed, whatever the network") {
  const auto order = [](int seed, int hidden) {
    auto experiment = test::built(fmt::format(R"({{"marginalia": 2, "seed": {},
          "energy": {{"type": "ising", "side": 3}},
          "network": {{"type": "made", "hidden": {}, "layers": 1}},
          "family": {{"type": "arm", "objective": "reinforce", "order": "random"}}}})",
                                              seed, hidden));
    TensorCollector state;
    experiment.family->visit(state);
    return state.tensors.at("model.order");
  };
  CHECK(order(1, 8).equal(order(1, 24)));
  CHECK_FALSE(order(1, 8).equal(order(2, 8)));
}
