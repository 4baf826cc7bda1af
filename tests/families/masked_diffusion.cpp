#include <cmath>

#include <fmt/format.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/enumeration.h>

#include "bench_step.h"
#include "bits.h"
#include "host/evaluation/evaluator.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"
#include "small_models.h"

using namespace marginalia;
using test::all_orders;
using test::check_mean;
using torch::Tensor;

namespace {

Experiment masked_square(const std::string& family) {
  return test::square(R"({"type": "mlp", "hidden": 12, "layers": 2})",
                      fmt::format(R"({{"type": "masked_diffusion", {}}})", family), 0.3);
}

/// log q(x | order) of the square's 16 states in a row for each of 24 orders, with the gradient,
/// and log f: [24, 16], [16].
struct AllPaths {
  Tensor log_q, log_f;
  explicit AllPaths(Experiment& experiment) {
    const auto x = all_states(experiment.space());
    const auto network = experiment.networks.at("conditional", kLogits);
    std::vector<Tensor> rows;
    for (const auto& order : all_orders(4)) {
      auto partial = torch::full_like(x, kUnknown);
      auto row = torch::zeros({16}, torch::kDouble);
      for (std::int64_t t = 0; t < 4; ++t) {
        const auto i = order[0][t].item<std::int64_t>();
        const auto log_p = network->evaluate({partial}, kLogits).logits.log_softmax(2);
        row = row + log_p.select(1, i).gather(1, x.select(1, i).unsqueeze(1)).squeeze(1);
        partial = partial.clone();
        partial.select(1, i).copy_(x.select(1, i));
      }
      rows.push_back(row);
    }
    log_q = torch::stack(rows);
    log_f = experiment.energy->log_density(x);
  }
};

/// Takes `count` steps and holds the mean gradient against `exact`.
void check_gradient(Experiment& experiment, test::BenchStep& bench, const Tensor& exact,
                    int count) {
  for (int n = 0; n < count; ++n)
    experiment.family->step(bench);
  const auto seen = torch::stack(bench.gradients);
  const auto error = seen.std(0) / std::sqrt(double(count));
  const auto apart = (seen.mean(0) - exact).abs();
  CHECK((apart <= 5 * error + 1e-7).all().item<bool>());
  CHECK(exact.norm().item<double>() > 8 * error.norm().item<double>());  // close enough to tell
}

Json trained_diffusion(const std::string& energy, const std::string& family,
                       const std::string& training) {
  auto experiment = test::built(fmt::format(R"({{"marginalia": 1, "seed": 1, "energy": {},
      "network": {{"type": "mlp", "hidden": 64, "layers": 3}},
      "family": {{"type": "masked_diffusion", {}}},
      "training": {{{}, "optimizer": {{"learning_rate": 0.004}}, "moving_average": 0.98,
                   "schedule": {{"type": "cosine"}}}},
      "evaluation": {{"rows": 2000, "metrics": ["log_z", "kl_reverse", "kl_forward", "ess"]}}}})",
                                            energy, family, training));
  test::TempDir folder;
  const auto run = RunDirectory::create(folder / "run", false);
  train(experiment, run, {}, {});
  load_model(run.checkpoints() / "last.safetensors", *experiment.family);
  experiment.family->set_training(false);
  return evaluate(
      experiment,
      {experiment.evaluation.metrics, {2000, false}, Split::kTest, experiment.seed, NAN});
}

constexpr const char* kTorus = R"({"type": "ising", "side": 3, "coupling": 0.3, "field": 0.1})";

}  // namespace

TEST_CASE("log-variance has the value and the gradient of the variance over paths") {
  for (const auto terms : {0, 2})
    for (const auto b : {1.0, 0.4}) {
      CAPTURE(terms);
      CAPTURE(b);
      auto experiment = masked_square(
          fmt::format(R"("objective": {{"type": "log_variance", "terms": {}}})", terms));
      const AllPaths paths(experiment);
      const auto measure = (paths.log_q.detach().exp() / 24);  // [24, 16]
      CHECK(measure.sum().item<double>() == doctest::Approx(1).epsilon(1e-5));
      const auto W = b * paths.log_f - paths.log_q;
      const auto mean = (measure * W).sum();
      const auto variance = (measure * (W - mean).square()).sum();
      variance.backward();
      const auto exact = test::take_gradients(*experiment.family);
      test::BenchStep bench(experiment, 800);
      bench.energy().set_inverse_temperature(b);
      check_gradient(experiment, bench, exact, 100);
      check_mean(torch::tensor(bench.losses, torch::kDouble), variance.item<double>(),
                 0.05 * variance.item<double>());
      CHECK(bench.passes == 100 * 800 * (4 + (terms == 0 ? 4 : terms)));
      CHECK(bench.energy().evaluations() == 100 * 800);
      // The normaliser is that of f, whatever b: the mean of exp W is unbiased for any paths.
      const auto log_z = experiment.family->answer({QueryKind::kLogZ}, bench.stream("test"));
      CHECK(std::abs(log_z.value.item<double>() - paths.log_f.logsumexp(0).item<double>()) < 0.1);
    }
}

TEST_CASE("weighted denoising has the gradient of the bound under the target itself") {
  for (const std::string hidden : {R"({"type": "by_time", "least_time": 1e-6})", R"("by_size")"})
    for (const auto b : {1.0, 0.4}) {
      CAPTURE(hidden);
      CAPTURE(b);
      auto experiment = masked_square(fmt::format(
          R"("objective": {{"type": "weighted_denoising", "hidden": {},
             "replay": {{"size": 1500, "fresh": 1500, "every": 1, "replicates": 3}}}})",
          hidden));
      const AllPaths paths(experiment);
      const auto p = (b * paths.log_f).softmax(0);
      const auto loss = -(p * paths.log_q.mean(0)).sum() / 4;
      loss.backward();
      const auto exact = test::take_gradients(*experiment.family);
      test::BenchStep bench(experiment, 400);
      bench.energy().set_inverse_temperature(b);
      check_gradient(experiment, bench, exact, 150);
      check_mean(torch::tensor(bench.losses, torch::kDouble), loss.item<double>(), 0.02);
      CHECK(bench.passes == 150 * (400 * 3 + 1500 * 4));
      CHECK(bench.energy().evaluations() == 150 * 1500);
    }
}

TEST_CASE("it learns an energy and its normaliser by log-variance and by weighted denoising") {
  for (const std::string family :
       {R"("objective": "log_variance")",
        R"("objective": "log_variance", "siblings": 4, "terms": 5, "whole": 0.3)",
        R"("hidden": "by_size")"}) {
    CAPTURE(family);
    const auto result = trained_diffusion(kTorus, family, R"("steps": 500, "batch_size": 256)");
    CHECK(measured_value(result, "kl_reverse/importance") < 0.03);
    CHECK(measured_value(result, "kl_forward/chain") < 0.03);
    CHECK(measured_value(result, "ess/importance") > 0.96);
    CHECK(std::abs(measured_value(result, "log_z/learned") -
                   measured_value(result, "log_z/exact")) < 0.02);
  }
}

TEST_CASE("a warm start keeps both modes of a cold magnet") {
  // Cooled at once the same training ends in one mode, which says log 2 = 0.69 less.
  const auto result =
      trained_diffusion(R"({"type": "ising", "side": 3, "coupling": 0.9, "field": 0})",
                        R"("objective": "log_variance")",
                        R"("steps": 300, "batch_size": 128,
                                 "anneal": {"from": 0.1, "until": 0.6})");
  CHECK(std::abs(measured_value(result, "log_z/learned") - measured_value(result, "log_z/exact")) <
        0.05);
  CHECK(std::abs(measured_value(result, "log_z/importance") -
                 measured_value(result, "log_z/exact")) < 0.05);
  CHECK(measured_value(result, "kl_forward/chain") < 0.05);
}

TEST_CASE("it learns data, and its answers follow from one set of conditionals") {
  const test::TempDir folder;
  test::write_bits(folder / "rows.txt");
  const auto spec = Spec::from_text(R"({"marginalia": 1, "seed": 2,
      "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"},
      "network": {"type": "mlp", "hidden": 32, "layers": 2},
      "family": {"type": "masked_diffusion"},
      "training": {"steps": 400, "batch_size": 128, "optimizer": {"learning_rate": 0.005}}})",
                                    "spec.json", {folder.path(), folder.path()});
  Experiment experiment(test::in_float32(spec), test::loaded_registry(), "cpu");
  train(experiment, RunDirectory::create(folder / "run", false), {}, {});
  auto& family = *experiment.family;
  family.set_training(false);
  Stream stream(9, "test");
  const auto states = all_states(experiment.space());
  const auto log_p = family.answer({QueryKind::kLogMarginal, states, {}, "ensemble", 30}, stream);
  const auto repeats = (states.slice(1, 1) == states.slice(1, 0, 5)).sum(1).to(torch::kDouble);
  const auto truth = std::log(0.5) + repeats * std::log(0.8) + (5 - repeats) * std::log(0.2);
  CHECK((truth.exp() * (truth - log_p.value)).sum().item<double>() < 0.1);
  CHECK_FALSE(family.offers(QueryKind::kLogZ));

  // The two bounds are of one mean.
  const auto by = [&](const std::string& estimator) {
    const Query query{QueryKind::kLogMarginal, states, {}, estimator, 2000};
    return family.answer(query, stream).value;
  };
  CHECK(std::abs((by("continuous_time") - by("masked")).mean().item<double>()) < 0.15);

  // One step: every variable by itself. As many as there are variables, one at a time: the chain.
  const auto nothing = experiment.space().empty().repeat({50, 1});
  Query query{QueryKind::kSample, nothing};
  query.steps = 1;
  const auto at_once = family.answer(query, stream);
  const auto alone = family.answer({QueryKind::kConditionals, nothing}, stream).value;
  const auto of_x = alone.gather(2, at_once.states.unsqueeze(2)).sum({1, 2});
  CHECK(at_once.estimator == "diffusion");
  CHECK(at_once.passes == 1);
  CHECK(torch::allclose(at_once.value, of_x));
  query.steps = 4;
  CHECK(family.answer(query, stream).passes <= 4);
  query.order = Order::kForward;
  CHECK_THROWS_AS(family.answer(query, stream), SpecError);
  query.steps = 0;
  const auto forward = family.answer(query, stream);
  const Query chain{QueryKind::kLogMarginal, forward.states, {}, "chain", 1, Order::kForward};
  CHECK(torch::allclose(family.answer(chain, stream).value, forward.value));
}

TEST_CASE("with a corrector samples in steps have no log q, and others keep theirs") {
  auto experiment = masked_square(R"("corrector": {"rounds": 2, "share": 0.3})");
  Stream stream(9, "test");
  Query query{QueryKind::kSample, experiment.space().empty().repeat({20, 1})};
  const auto exact = experiment.family->answer(query, stream);
  CHECK(exact.estimator == "corrected");
  CHECK_FALSE(exact.value.isnan().any().item<bool>());
  query.steps = 1;
  const auto corrected = experiment.family->answer(query, stream);
  CHECK(corrected.value.isnan().all().item<bool>());
  CHECK((corrected.status == Status::kEstimate));
  CHECK(corrected.passes == 3);
}

TEST_CASE("what a masked diffusion cannot learn from is refused") {
  const auto refused = [](const std::string& family, std::int64_t batch = 64,
                          const std::string& energy = R"({"type": "ising", "sides": [3]})") {
    return test::refusal([&] {
      auto experiment = test::built(fmt::format(R"({{"marginalia": 1, "seed": 1, "energy": {},
          "network": {{"type": "mlp", "hidden": 4, "layers": 2}},
          "family": {{"type": "masked_diffusion", {}}}}})",
                                                energy, family));
      test::BenchStep bench(experiment, batch);
      experiment.family->step(bench);
    });
  };
  const std::string where = "family masked_diffusion (plugin masked_diffusion): ";
  const std::string forbids =
      R"({"type": "constrained", "given": "[1, null, null]",
          "energy": {"type": "ising", "sides": [3]}})";
  CHECK(refused(R"("objective": "log_variance")") == "accepted");
  CHECK(refused(R"("objective": "elbo")") ==
        where + "\"objective\": \"elbo\" learns from a \"dataset\"; the spec has none");
  CHECK(refused(R"("replay": {"size": 8, "fresh": 9})") ==
        where + "\"replay.fresh\" must not exceed \"replay.size\"");
  CHECK(refused(R"("objective": "log_variance")", 1) ==
        "a variance needs a \"batch_size\" of 2 at least");
  CHECK(refused(R"("objective": "log_variance")", 64, forbids) ==
        "log-variance met a state that the energy forbids (log f = -inf); give the energy a finite "
        "penalty, or take \"objective\": \"weighted_denoising\", in which such states weigh "
        "nothing");
  CHECK(refused(R"("objective": "weighted_denoising")", 64, forbids) == "accepted");
}
