#include <cmath>
#include <fstream>

#include "bits.h"
#include "brute_force.h"
#include "host/evaluation/evaluator.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"
#include "plugins/families/continuous_mixture/leaves.h"
#include "plugins/families/continuous_mixture/points.h"
#include "plugins/families/continuous_mixture/scales.h"
#include "shared/trees/mixture.h"
#include "small_models.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using test::kSmallSpace;

namespace {

/// A tree of three variables: 0 -> 2 -> 1.
trees::Tree chain() {
  return {torch::tensor({-1, 2, 0}), torch::tensor({0, 2, 1}),
          torch::ones({3, 3, 3}, torch::kDouble)};
}

std::unique_ptr<mixture::Leaves> leaves(bool tree) {
  return tree ? mixture::tree_leaves(kSmallSpace, chain())
              : mixture::independent_leaves(kSmallSpace);
}

/// log 1/N sum_j prod_i p(x_i | ...), term by term, by softmax of [0, outputs] over what can be.
double by_hand(bool tree, const Tensor& x, const Tensor& outputs) {
  const std::int64_t K = 3, parent[] = {-1, 2, 0};
  double sum = 0;
  for (std::int64_t j = 0; j < outputs.size(0); ++j) {
    double p = 1;
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto above = parent[i] < 0 ? 0 : x[parent[i]].item<std::int64_t>();
      const auto odds =
          tree ? outputs[j].view({3, K, K - 1})[i][above] : outputs[j].view({3, 2})[i];
      double total = 1, mine = 1;
      for (std::int64_t k = 1; k < kSmallSpace.cardinalities[std::size_t(i)]; ++k) {
        total += std::exp(odds[k - 1].item<double>());
        if (k == x[i].item<std::int64_t>()) mine = std::exp(odds[k - 1].item<double>());
      }
      p *= mine / total;
    }
    sum += p;
  }
  return std::log(sum / double(outputs.size(0)));
}

/// A family after `steps` on rows of five variables, its best parameters in place.
test::TrainedOnRows trained_mixture(const std::string& more, int steps) {
  return test::TrainedOnRows(R"({"type": "continuous_mixture", "latents": 2, "hidden": 16,
                                 "layers": 2, "points": 64, "points_test": 128)" +
                                 more + "}",
                             steps);
}

/// A family after `steps` on 100 pairs of numbers with a correlation of .9, 40 of them to learn
/// from (the next 20, and the last 40, to stop and to judge by), and one label.
struct TrainedOnNumbers {
  test::TempDir folder;
  std::unique_ptr<Experiment> experiment;
  TrainedOnNumbers(const std::string& more, int bins, int steps) {
    torch::manual_seed(21);
    const auto z = torch::randn({100, 2}, torch::kDouble);
    std::ofstream file(folder / "numbers.csv");
    file << "u,v,label\n";
    for (std::int64_t n = 0; n < 100; ++n) {
      const auto u = z[n][0].item<double>(), other = z[n][1].item<double>();
      const auto v = .9 * u + std::sqrt(1 - .81) * other;
      file << fmt::format("{:.3f},{},{}\n", u, n % 10 == 3 ? "" : fmt::format("{:.3f}", v),
                          other > 0 ? "yes" : "no");
    }
    file.close();
    const auto text = fmt::format(
        R"({{"marginalia": 2, "seed": 1,
             "dataset": {{"type": "csv", "file": "numbers.csv", "bins": {}, "gaps_as_values": ["v"],
                          "split": {{"type": "shares", "valid": 0.2, "test": 0.4}}}},
             "family": {{"type": "continuous_mixture", "latents": 2, "hidden": 16, "layers": 2,
                         "points": 64, "points_test": 128{}}},
             "training": {{"steps": {}, "batch_size": 40, "optimizer": {{"learning_rate": 0.01}}}}}})",
        bins, more, steps);
    const auto spec = Spec::from_text(text, "spec.json", {folder.path(), folder.path()});
    experiment =
        std::make_unique<Experiment>(test::in_float32(spec), test::loaded_registry(), "cpu");
    train(*experiment, RunDirectory::create(folder / "run", false), {}, {});
    experiment->family->set_training(false);
  }
  /// Mean log p of the test rows.
  double held_out() const {
    const auto& data = *experiment->dataset;
    const auto rows = data.rows(Split::kTest, torch::arange(data.size(Split::kTest)));
    Stream stream(1, "test");
    return experiment->family->answer({QueryKind::kLogMarginal, rows}, stream)
        .value.mean()
        .item<double>();
  }
};

const std::string kPolynomials = R"(, "numbers": {"type": "polynomials", "degree": 2})";

}  // namespace

TEST_CASE("Sobol's points: the published beginning, and one in every cell") {
  const auto first = mixture::sobol(8, 2);
  const auto published = torch::tensor({{0.0, 0.0},
                                        {0.5, 0.5},
                                        {0.75, 0.25},
                                        {0.25, 0.75},
                                        {0.375, 0.375},
                                        {0.875, 0.875},
                                        {0.625, 0.125},
                                        {0.125, 0.625}},
                                       torch::kDouble);
  CHECK(first.equal(published));
  const auto points = mixture::sobol(256, 8);
  const auto cells = std::get<0>((points * 256).floor().sort(0));
  CHECK(cells.equal(torch::arange(256, torch::kDouble).unsqueeze(1).expand({256, 8})));
  const auto moved = mixture::shifted(points, torch::full({1, 8}, 0.7));
  CHECK(moved.min().item<double>() >= 0);
  CHECK(moved.max().item<double>() < 1);
  const auto turns = moved - points - 0.7;
  CHECK(turns.allclose(turns.round(), 0, 1e-6));
  const auto z = mixture::standard_normal(moved).to(torch::kDouble);
  CHECK((0.5 * (1 + (z / std::sqrt(2.0)).erf())).allclose(moved, 0, 1e-6));
}

TEST_CASE("a mixture's likelihood is the mean of its components, and its gradient the slope") {
  torch::manual_seed(5);
  for (const bool tree : {false, true}) {
    CAPTURE(tree);
    const auto model = leaves(tree);
    const auto x = torch::tensor({{0, 2, 1}, {1, 0, 0}, {1, 1, 1}, {0, 0, 0}});
    const auto g = torch::tensor({0.3, -1.1, 0.7, 2.0}, torch::kDouble);
    auto outputs = torch::randn({4, model->outputs()}, torch::kDouble).requires_grad_();
    const auto log_p = model->log_likelihood(x, outputs);
    for (std::int64_t b = 0; b < 4; ++b)
      CHECK(log_p[b].item<double>() ==
            doctest::Approx(by_hand(tree, x[b], outputs)).epsilon(1e-12));
    (log_p * g).sum().backward();
    torch::NoGradGuard no_grad;
    const auto value = [&](std::int64_t n, double change) {
      auto moved = outputs.detach().clone();
      moved.view(-1)[n] += change;
      return (model->log_likelihood(x, moved) * g).sum().item<double>();
    };
    for (std::int64_t n = 0; n < outputs.numel(); ++n) {
      const auto slope = (value(n, 1e-5) - value(n, -1e-5)) / 2e-5;
      CHECK(outputs.grad().view(-1)[n].item<double>() == doctest::Approx(slope).epsilon(1e-7));
    }
  }
}

TEST_CASE("components start from the fitted tree") {
  torch::manual_seed(6);
  auto tree = chain();
  tree.p = torch::rand({3, 3, 3}, torch::kDouble) * kSmallSpace.possible().unsqueeze(1);
  tree.p = tree.p / tree.p.sum(2, true);
  tree.p[0] = tree.p[0][0].expand({3, 3}).clone();
  const auto model = leaves(true);
  const auto components = model->components(model->to_outputs(tree).unsqueeze(0));
  const auto x = torch::tensor({{0, 2, 1}, {1, -1, 0}, {-1, 1, -1}});
  const auto log_joint = components->log_joint(x, torch::kDouble);
  CHECK(log_joint.squeeze(1).allclose(trees::log_marginal(tree, x)));
}

TEST_CASE("marginals, conditionals and samples are exact: sums over all states agree") {
  for (const std::string kind : {"independent", "chow_liu"}) {
    CAPTURE(kind);
    const auto model = trained_mixture(R"(, "leaves": ")" + kind + "\"", 40);
    test::check_exact(model.family());
  }
}

TEST_CASE("a continuous mixture finds the most probable completion and proves it") {
  for (const std::string leaves : {"independent", "chow_liu"}) {
    CAPTURE(leaves);
    test::check_most_probable(trained_mixture(", \"leaves\": \"" + leaves + "\"", 40).family());
  }
}

TEST_CASE("weights of components stand in the likelihood, and its gradient by them is the slope") {
  torch::manual_seed(15);
  for (const bool tree : {false, true}) {
    CAPTURE(tree);
    const auto model = leaves(tree);
    const auto x = torch::tensor({{0, 2, 1}, {1, 0, 0}});
    const auto outputs = torch::randn({3, model->outputs()}, torch::kDouble);
    auto log_weight = torch::tensor({0.5, 0.2, 0.3}, torch::kDouble).log().requires_grad_();
    const auto log_p = model->log_likelihood(x, outputs, log_weight);
    for (std::int64_t b = 0; b < 2; ++b) {
      double sum = 0;
      for (std::int64_t j = 0; j < 3; ++j)
        sum += std::exp(log_weight[j].item<double>() +
                        by_hand(tree, x[b], outputs.slice(0, j, j + 1)));
      CHECK(log_p[b].item<double>() == doctest::Approx(std::log(sum)).epsilon(1e-12));
    }
    log_p.sum().backward();
    torch::NoGradGuard no_grad;
    for (std::int64_t j = 0; j < 3; ++j) {
      const auto value = [&](double change) {
        auto moved = log_weight.detach().clone();
        moved[j] += change;
        return model->log_likelihood(x, outputs, moved).sum().item<double>();
      };
      CHECK(log_weight.grad()[j].item<double>() ==
            doctest::Approx((value(1e-5) - value(-1e-5)) / 2e-5).epsilon(1e-7));
    }
  }
}

TEST_CASE("latent optimisation trains points and weights, the decoder no more, and stays exact") {
  for (const std::string kind : {"independent", "chow_liu"}) {
    CAPTURE(kind);
    const auto more = [&](double begin) {
      return fmt::format(R"(, "leaves": "{}", "refinement": {{"type": "latent_optimisation",
                              "begin": {}}})",
                         kind, begin);
    };
    const auto whole = trained_mixture(more(0.5), 40), half = trained_mixture(more(1), 20);
    test::check_exact(whole.family());
    // The decoder of a run whose second half refines is that of its first half.
    const auto decoder = [](const test::TrainedOnRows& run) {
      return run.experiment->family->parameters()[0].parameters;
    };
    for (std::size_t n = 0; n < decoder(half).size(); ++n)
      CHECK(decoder(whole)[n].second.equal(decoder(half)[n].second));
    const auto rows = test::mixed_rows();
    CHECK(whole.log_p(rows).mean().item<double>() > half.log_p(rows).mean().item<double>() + 0.02);
  }
}

TEST_CASE("numbers: log-odds are polynomials in the normal scores of their levels") {
  // Levels of 4, 8 and 4 of 16 rows, each counted once more than it was seen: their middles lie at
  // 1/8, 1/2 and 7/8, so that t = -a, 0, a with E t^2 = a^2 / 2, and phi_1 = sqrt(2) t / a.
  const StateSpace space{{3, 3}, {2}};
  const auto counts = torch::tensor({{3.0, 7.0, 3.0}, {5.0, 5.0, 9.0}}, torch::kDouble);
  const auto ordered = torch::tensor({{1, 1, 1}, {0, 0, 0}}).to(torch::kBool);
  const auto tilt = mixture::scale_basis(space, counts, ordered, 1);
  const auto root = std::sqrt(2.0);
  const auto expected = torch::tensor(
      {{root, 2 * root, 0.0, 0.0}, {0.0, 0.0, 1.0, 0.0}, {0.0, 0.0, 0.0, 1.0}}, torch::kDouble);
  CHECK((tilt * tilt[0][0].sign()).slice(0, 0, 1).allclose(expected.slice(0, 0, 1)));
  CHECK(tilt.slice(0, 1).equal(expected.slice(0, 1)));
  // phi_2 = b (t^2 - E t^2), E phi_2^2 = 1: b = 2 / a^2, so phi_2 = 1, -1, 1.
  const auto wide = mixture::scale_basis(space, counts, ordered, 5);
  CHECK(wide.sizes() == at::IntArrayRef({4, 4}));  // three levels: no degree above 2
  CHECK(wide[1].abs().allclose(torch::tensor({2.0, 0.0, 0.0, 0.0}, torch::kDouble), 0, 1e-12));
  // The last level of a scale may be a gap, which has a number of its own.
  const auto gap = torch::tensor({{1, 1, 0}, {0, 0, 0}}).to(torch::kBool);
  const auto beside = mixture::scale_basis(space, counts, gap, 2);
  CHECK(beside.sizes() == at::IntArrayRef({4, 4}));
  CHECK(beside[0][0].abs().item<double>() > 0.1);
  CHECK(beside[1].slice(0, 1).equal(torch::tensor({1.0, 0.0, 0.0}, torch::kDouble)));
}

TEST_CASE("polynomials of numbers stay exact, and learn numbers from few rows") {
  test::check_exact(*TrainedOnNumbers(kPolynomials, 4, 40).experiment->family);
  const auto levels = TrainedOnNumbers("", 16, 400).held_out(),
             curves = TrainedOnNumbers(kPolynomials, 16, 400).held_out();
  CHECK(curves > levels + 0.2);
}

TEST_CASE("a continuous mixture learns bits that repeat") {
  const auto divergence = [](const std::string& leaves, int steps) {
    return test::divergence_of_bits(
        fmt::format(R"({{"type": "continuous_mixture", "latents": 4, "hidden": 32, "points": 128,
                        "points_test": 512, "leaves": "{}"}})",
                    leaves),
        fmt::format(R"({{"steps": {}, "batch_size": 100, "optimizer": {{"learning_rate": 0.01}}}})",
                    steps));
  };
  CHECK(divergence("independent", 0) > 0.9);  // 5 (log 2 - 0.5004) = 0.96 of independent fair bits
  CHECK(divergence("independent", 200) < 0.08);
  CHECK(divergence("chow_liu", 0) < 0.08);  // no step: a tree that is almost the truth
}

TEST_CASE("reverse KL to an energy comes close to it") {
  const auto text = R"({"marginalia": 1, "seed": 2,
    "energy": {"type": "ising", "side": 3, "coupling": 0.2, "field": 0.2},
    "family": {"type": "continuous_mixture", "latents": 3, "hidden": 32, "points": 256,
               "points_test": 1024},
    "training": {"steps": 1500, "batch_size": 256, "moving_average": 0.98,
                 "optimizer": {"learning_rate": 0.003}, "schedule": {"type": "cosine"}},
    "evaluation": {"rows": 1000, "metrics": ["ess", "kl_reverse", "log_z",
                                            {"type": "marginal_error", "sizes": []}]}})";
  test::TempDir folder;
  Experiment experiment(test::in_float32(Spec::from_text(text, "spec.json")),
                        test::loaded_registry(), "cpu");
  const auto run = RunDirectory::create(folder / "run", false);
  train(experiment, run, {}, {});
  load_model(run.checkpoints() / "last.safetensors", *experiment.family);
  const auto result =
      evaluate(experiment,
               {experiment.evaluation.metrics, {1000, false}, Split::kTest, experiment.seed, NAN});
  CHECK(measured_value(result, "ess/importance") > 0.98);
  CHECK(std::abs(measured_value(result, "log_z/importance") -
                 measured_value(result, "log_z/exact")) < 0.02);
  CHECK(measured_value(result, "marginal_error/one_pass") < 0.05);
}

TEST_CASE("answers follow the parameters, and are the same from one call to the next") {
  const auto model = trained_mixture("", 3);
  const auto states = all_states(model.family().space());
  const auto before = model.log_p(states);
  CHECK(model.log_p(states).equal(before));
  torch::NoGradGuard no_grad;
  model.experiment->family->parameters()[0].parameters[0].second.mul_(2);
  const auto after = model.log_p(states);
  CHECK_FALSE(after.allclose(before));
  CHECK(after.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-12));
}

TEST_CASE("a continuous mixture says what it lacks") {
  const auto refused = [](const std::string& source, const std::string& more) {
    return test::refusal([&] {
      const auto text = R"({"marginalia": 1, )" + source +
                        R"(, "family": {"type": "continuous_mixture", )" + more + "}}";
      const Experiment experiment(
          test::in_float32(
              Spec::from_text(text, "spec.json", {MARGINALIA_TEST_DATA, MARGINALIA_TEST_DATA})),
          test::loaded_registry(), "cpu");
    });
  };
  const std::string energy = R"("energy": {"type": "ising", "side": 3})";
  const std::string table = R"("dataset": {"type": "table", "train": "density/tiny.train.data",
    "valid": "density/tiny.valid.data", "test": "density/tiny.test.data"})";
  const std::string where = "family continuous_mixture (plugin continuous_mixture): ";
  CHECK(refused(energy, R"("leaves": "chow_liu")") ==
        where + R"("leaves": "chow_liu" needs a "dataset"; the spec has none)");
  CHECK(refused(energy, R"("objective": "likelihood")") ==
        where + R"("objective": "likelihood" needs a "dataset"; the spec has none)");
  CHECK(refused(table, R"("objective": "reinforce")") ==
        where + R"("objective": "reinforce" needs an "energy"; the spec has none)");
  CHECK(refused(energy, R"("refinement": "latent_optimisation")") ==
        where + R"("refinement": "latent_optimisation" is of the likelihood of data)");
  CHECK(refused(table, R"("numbers": "polynomials")") ==
        where + R"("numbers": "polynomials" needs a "dataset" that knows which of its variables )" +
            "are numbers, as csv does");
  CHECK(refused(table, R"("numbers": "polynomials", "leaves": "chow_liu")") ==
        where +
            R"("numbers": "polynomials" is of independent leaves, not of "leaves": "chow_liu")");
}
