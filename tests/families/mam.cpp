#include <fmt/format.h>

#include <marginalia/files.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/enumeration.h>

#include "../contracts/contracts.h"
#include "bits.h"
#include "built.h"
#include "host/evaluation/evaluator.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"
#include "plugins/families/mam/links.h"

using namespace marginalia;

namespace {

/// Trains a small model of the 3 x 3 torus with `family` and measures it against enumeration.
Json trained_on_torus(const std::string& family, const std::string& network, int steps) {
  const auto text = R"({"marginalia": 1, "seed": 2,
    "energy": {"type": "ising", "side": 3, "coupling": 0.2, "field": 0.2},
    "network": )" + network +
                    R"(, "family": )" + family + R"(,
    "training": {"steps": )" +
                    std::to_string(steps) + R"(, "batch_size": 256, "moving_average": 0.98,
                 "clip_norm": 1, "optimizer": {"learning_rate": 0.002},
                 "schedule": {"type": "cosine"}},
    "evaluation": {"rows": 500, "metrics": ["ess", "kl_reverse", "log_z",
                                            {"type": "marginal_error", "sizes": []}]}})";
  test::TempDir folder;
  Experiment experiment(test::in_float32(Spec::from_text(text, "spec.json")),
                        test::loaded_registry(), "cpu");
  const auto run = RunDirectory::create(folder / "run", false);
  train(experiment, run, {}, {});
  load_model(run.checkpoints() / "last.safetensors", *experiment.family);
  return evaluate(
      experiment,
      {experiment.evaluation.metrics, {500, false}, Split::kTest, experiment.seed, NAN});
}

const char* kConv = R"({"type": "lattice_conv", "channels": 24, "depth": 1})";
const char* kConvPrior =
    R"({"type": "lattice_conv", "channels": 16, "depth": 1, "prior": "belief_propagation"})";

}  // namespace

TEST_CASE("denoising with a belief-propagation prior learns conditionals, marginals and log Z") {
  const auto result = trained_on_torus(R"({"type": "mam", "label_sweeps": 8,
                                  "chain": {"count": 256, "burn_in": 50}})",
                                       kConvPrior, 150);
  CHECK(measured_value(result, "ess/importance") > 0.995);
  CHECK(measured_value(result, "marginal_error/one_pass") < 0.02);
  CHECK(measured_value(result, "marginal_error/chain") < 0.04);
  CHECK(std::abs(measured_value(result, "log_z/learned") - measured_value(result, "log_z/exact")) <
        0.02);
}

TEST_CASE("labels by single changes and several masks a state learn as sweeps do") {
  const auto result = trained_on_torus(
      R"({"type": "mam", "states": "metropolis", "label_changes": true, "masks": 4,
          "chain": {"count": 256, "block": 2}})",
      kConvPrior, 150);
  CHECK(measured_value(result, "ess/importance") > 0.99);
  CHECK(measured_value(result, "marginal_error/one_pass") < 0.03);
}

TEST_CASE("consistency alone learns from states of the model itself") {
  const auto result =
      trained_on_torus(R"({"type": "mam", "objective": "consistency", "states": "model",
                                  "chain": {"count": 256, "block": 3}})",
                       kConv, 500);
  CHECK(measured_value(result, "ess/importance") > 0.95);
  CHECK(measured_value(result, "marginal_error/one_pass") < 0.15);
  CHECK(std::abs(measured_value(result, "log_z/learned") - measured_value(result, "log_z/exact")) <
        0.1);
}

static Json trained_by_particles(int steps) {
  return trained_on_torus(R"({"type": "mam", "objective": "particle", "states": "model",
                              "chain": {"count": 256, "block": 1, "watch": "outputs",
                                        "rejuvenate": 1.5}})",
                          kConv, steps);
}

TEST_CASE("links near the end, as particle GFlowNets take them, learn a small target's draws") {
  CHECK(measured_value(trained_by_particles(400), "ess/importance") > 0.8);
}

// F(empty), which all marginals are divided by, is hardly seen: one link in hundreds begins there.
TEST_CASE("and in time its normaliser" * doctest::test_suite("slow")) {
  const auto result = trained_by_particles(1600);
  CHECK(measured_value(result, "ess/importance") > 0.9);
  CHECK(std::abs(measured_value(result, "log_z/learned") - measured_value(result, "log_z/exact")) <
        1);
  CHECK(measured_value(result, "marginal_error/one_pass") < 1);
}

TEST_CASE("links are at the times asked for, and these Poisson around log D, cut to 1..D") {
  Stream stream(3, "test");
  constexpr std::int64_t D = 7, N = 20000;
  const auto k = mam::truncated_poisson(N, D, stream);
  double norm = 0;
  for (std::int64_t v = 1; v <= D; ++v)
    norm += std::pow(std::log(double(D)), double(v)) / std::tgamma(double(v + 1));
  for (std::int64_t v = 1; v <= D; ++v) {
    const auto p = std::pow(std::log(double(D)), double(v)) / std::tgamma(double(v + 1)) / norm;
    const auto seen = (k == v).sum().item<double>();
    CHECK(std::abs(seen - N * p) < 5 * std::sqrt(N * p * (1 - p)));
  }
  const auto x = torch::randint(2, {N, D}, torch::kLong);
  const auto links = mam::links_at(x, D - k, stream);
  CHECK((links.before == kUnknown).sum(1).equal(k));
  CHECK((links.after == kUnknown).sum(1).equal(k - 1));
  const auto revealed = (links.before == kUnknown).logical_and(links.after != kUnknown);
  CHECK(revealed.nonzero().select(1, 1).equal(links.variable));
  CHECK(x.masked_select(revealed).equal(links.value));
  CHECK(links.after.masked_select(links.after != kUnknown)
            .equal(x.masked_select(links.after != kUnknown)));
}

TEST_CASE("a value that label and model both find impossible adds nothing to the loss") {
  const auto labels = torch::tensor({0.25F, 0.75F, 0.0F}).view({1, 1, 3});
  auto logits = torch::tensor({0.0F, 0.0F, -INFINITY}).view({1, 1, 3}).requires_grad_();
  const auto unknown = torch::ones({1, 1}, torch::kBool);
  const auto loss = mam::label_divergence(labels, logits.log_softmax(2), unknown).sum();
  CHECK(loss.item<double>() ==
        doctest::Approx(0.25 * std::log(0.25 / 0.5) + 0.75 * std::log(0.75 / 0.5)));
  loss.backward();
  CHECK(logits.grad().allclose(torch::tensor({0.25F, -0.25F, 0.0F}).view({1, 1, 3})));
}

TEST_CASE("a size power moves training states towards few known variables") {
  Stream stream(5, "test");
  constexpr std::int64_t D = 10, N = 50000;
  const auto x = torch::zeros({N, D}, torch::kLong);
  for (const double a : {1.0, 2.0}) {
    const auto known = (mam::draw_links(x, a, stream).before != kUnknown).sum(1);
    for (std::int64_t t = 0; t < D; ++t) {  // P(t) = ((t + 1) / D)^(1/a) - (t / D)^(1/a)
      const auto p = std::pow(double(t + 1) / D, 1 / a) - std::pow(double(t) / D, 1 / a);
      CHECK(std::abs((known == t).to(torch::kDouble).mean().item<double>() - p) < 1e-3);
    }
  }
}

TEST_CASE("the published objective reaches the target, without dividing by the batch's spread") {
  const auto result =
      trained_on_torus(R"({"type": "mam", "objective": "kl_penalty", "states": "model",
                                  "chain": {"count": 256, "block": 3}})",
                       R"({"type": "mlp", "hidden": 128, "layers": 3})", 1500);
  CHECK(measured_value(result, "ess/importance") > 0.9);
  CHECK(measured_value(result, "marginal_error/one_pass") < 0.3);
}

TEST_CASE("chains resampled from uniform states begin at the target") {
  const auto spec = [](const char* field) {
    return Spec::from_text(fmt::format(R"({{"marginalia": 1, "seed": 3,
      "energy": {{"type": "ising", "side": 3, "coupling": 0.3, "field": {}}},
      "network": {{"type": "mlp", "hidden": 16, "layers": 1}},
      "family": {{"type": "mam", "states": "metropolis",
                 "chain": {{"start": "resampled", "count": 4000, "pool": 100000, "block": 1}}}},
      "training": {{"steps": 1, "batch_size": 8}}}})",
                                       field),
                           "spec.json");
  };
  test::TempDir folder;
  Experiment experiment(test::in_float32(spec("0.1")), test::loaded_registry(), "cpu");
  train(experiment, RunDirectory::create(folder / "run", false), {}, {});
  struct ChainStates final : StateVisitor {
    void operator()(const std::string& name, Tensor& tensor) override {
      if (name == "chain.states") states = tensor;
    }
    void parameter(const std::string&, Tensor&) override {}
    Tensor states;
  } chains;
  experiment.family->visit(chains);
  REQUIRE(chains.states.size(0) == 4000);
  const ExactAnswers exact(*experiment.energy);
  const auto p = exact.oracle()->log_marginal(all_states(experiment.space())).exp();
  const auto place = torch::pow(2, torch::arange(8, -1, -1));
  const auto counts = (chains.states * place).sum(1).bincount({}, 512);
  CHECK(test::chi_square_excess(counts, p) < 4);
  CHECK(test::chi_square_excess(counts, torch::full({512}, 1.0 / 512, torch::kDouble)) > 100);
}

TEST_CASE("sums along a path are unbiased, and exact where every variable is a block of its own") {
  // Conditionals that depend on how many variables are known, so that orders of blocks matter.
  const auto model = [](const torch::Tensor& s) {
    const auto known = (s != kUnknown).sum(1).to(torch::kDouble).view({-1, 1, 1});
    const auto bias = torch::arange(6).to(torch::kDouble).view({1, 6, 1});
    const auto logit = 0.3 * known - 0.2 * bias;
    return torch::cat({torch::zeros_like(logit), logit}, 2).log_softmax(2);
  };
  torch::manual_seed(1);
  Stream stream(4, "test");
  const auto x = torch::randint(2, {1, 6}, torch::kLong).repeat({20000, 1});
  const auto chain = score_chain(model, x, {}, stream.permutations(20000, 6)).log_prob;
  double spread = INFINITY;
  for (const auto& [blocks, points] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {1, 3}, {3, 1}, {6, 1}, {9, 2}}) {
    CAPTURE(blocks);
    CAPTURE(points);
    const auto paths = mam::draw_paths(x, {blocks, points, "log_probability"}, model, stream,
                                       [](const Tensor& rows) { return rows; });
    const auto m = std::min<std::int64_t>(blocks, 6);
    CHECK(paths.passes == (m < 6 ? 1 + points : 1) * m * 20000);
    const auto states = paths.states.view({m, 20000, 6});
    CHECK(states[m - 1].equal(x));
    for (std::int64_t j = 0; j + 1 < m; ++j)  // nested, and never the same
      CHECK(
          ((states[j] != kUnknown).sum(1) < (states[j + 1] != kUnknown).sum(1)).all().item<bool>());
    const auto last = paths.log_prob.view({m, 20000})[m - 1].to(torch::kDouble);
    const auto error = std::sqrt((last.var() + chain.var()).item<double>() / 20000);
    CHECK(std::abs((last.mean() - chain.mean()).item<double>()) < 4 * error + 1e-6);
    if (m == 1) {
      CHECK(last.std().item<double>() < spread);  // more points, less noise
      spread = last.std().item<double>();
    }
    if (m < 6) continue;
    // No block has a choice left: each row is the chain of some order, and these have few values.
    CHECK(last.std().item<double>() == doctest::Approx(chain.std().item<double>()).epsilon(0.05));
  }
}

TEST_CASE("of the two means over orders, that of probabilities is learned without a bias") {
  // A network of one number, its marginal at the full state: what the losses bring it to.
  torch::manual_seed(2);
  const auto sums = -3 + 0.8 * torch::randn({100000}, torch::kDouble);
  const auto best = [&](const auto& loss) {
    double at = -3, step = 1;
    for (int n = 0; n < 60; ++n, step *= 0.8)
      for (const double next : {at - step, at + step})
        if (loss(sums - next).mean().template item<double>() <
            loss(sums - at).mean().template item<double>())
          at = next;
    return at;
  };
  const auto log_mean = (sums.logsumexp(0) - std::log(100000.0)).item<double>();
  CHECK(best([](const Tensor& d) { return d.square(); }) ==
        doctest::Approx(sums.mean().item<double>()).epsilon(1e-3));
  CHECK(best(mam::exponential_loss) == doctest::Approx(log_mean).epsilon(1e-3));
  CHECK(mam::exponential_loss(torch::tensor({0.0})).item<double>() == 0);
  const auto far = mam::exponential_loss(torch::tensor({10.0, 11.0}, torch::kDouble));
  CHECK((far[1] - far[0]).item<double>() == doctest::Approx(std::exp(3.0) - 1));
}

namespace {

/// Two stages of learning from a table of six bits; `networks` of the spec.
class TwoStages {
 public:
  explicit TwoStages(const std::string& networks, int steps) {
    test::write_bits(folder_ / "rows.txt");
    const auto text = R"({"marginalia": 1, "seed": 2,
      "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"},
      "network": )" + networks +
                      R"(,
      "family": {"type": "mam", "states": "data", "stages": "two_stage", "blocks": 6,
                 "conditional_fraction": 0.4, "on_policy": 0.5, "chain": {"count": 64, "block": 2}},
      "training": {"steps": )" +
                      std::to_string(steps) + R"(, "batch_size": 64, "moving_average": 0.98,
                   "optimizer": {"learning_rate": 0.003}, "schedule": {"type": "cosine"}},
      "evaluation": {"metrics": [{"type": "marginal_error", "sizes": []}]}})";
    const auto spec = Spec::from_text(text, "spec.json", {folder_.path(), folder_.path()});
    experiment_.emplace(spec, test::loaded_registry(), "cpu");
    const auto run = RunDirectory::create(folder_ / "run", false);
    train(*experiment_, run, {}, {});
    load_model(run.checkpoints() / "last.safetensors", *experiment_->family);
    metrics = read_text(run.path() / "metrics.jsonl");
  }

  Family& family() { return *experiment_->family; }
  double one_pass_error() {
    const auto& e = *experiment_;
    const auto result =
        evaluate(*experiment_, {e.evaluation.metrics, {200, false}, Split::kTest, e.seed, NAN});
    return measured_value(result, "marginal_error/one_pass");
  }

  std::string metrics;

 private:
  test::TempDir folder_;
  std::optional<Experiment> experiment_;
};

const std::string kMlp = R"({"type": "mlp", "hidden": 64, "layers": 3})";

}  // namespace

TEST_CASE("marginals fitted along paths to frozen conditionals agree with their ensemble") {
  TwoStages model(kMlp, 800);
  CHECK(model.one_pass_error() < 0.2);  // an untrained head: several nats

  // The learning rate falls to nothing in each of the stages, of 320 and 480 steps.
  std::map<std::int64_t, double> rates;  // means over 50 steps
  std::istringstream lines(model.metrics);
  for (std::string line; std::getline(lines, line);)
    if (const auto json = Json::parse(line); json.contains("train/learning_rate"))
      rates[json.at("step")] = json.at("train/learning_rate");
  CHECK(rates.at(300) < 0.1 * 0.003);
  CHECK(rates.at(400) > 0.9 * 0.003);
  CHECK(rates.at(800) < 0.02 * 0.003);
}

TEST_CASE("a causal network beneath the marginals is normalised over the values of any subset") {
  TwoStages model(R"({"conditional": )" + kMlp + R"(, "marginal": )" + kMlp +
                      R"(, "causal": {"type": "made", "hidden": 64}})",
                  500);
  CHECK(model.one_pass_error() < 0.2);
  {
    torch::NoGradGuard no_grad;  // what is left without the marginal network: log q
    for (auto& group : model.family().parameters())
      for (auto& [name, parameter] : group.parameters)
        if (group.name == "marginal") parameter.zero_();
  }
  Stream stream(1, "test");
  const auto all = all_states(model.family().space());
  for (int subset = 0; subset < 64; ++subset) {
    const auto known = torch::tensor(subset).bitwise_right_shift(torch::arange(6)).bitwise_and(1);
    const auto rows = all.masked_fill(known == 0, kUnknown);
    const Query query{QueryKind::kLogMarginal, rows, {}, "one_pass"};
    const auto log_q = model.family().answer(query, stream).value;
    const double repeated = std::exp2(6 - known.sum().item<std::int64_t>());
    CHECK(log_q.exp().sum().item<double>() == doctest::Approx(repeated).epsilon(1e-5));
    if (repeated == 1) CHECK(test::divergence_of_bits(log_q) < 0.1);  // uniform: 0.96
  }
}

TEST_CASE("means over orders of p need exact sums along whole orders") {
  const test::TextFile file("0,1,1\n1,0,1\n");
  const auto refused = [&](const std::string& targets) {
    const auto text = fmt::format(
        R"({{"marginalia": 2, "dataset": {{"type": "table", "train": "{0}", "valid": "{0}",
             "test": "{0}"}}, "network": {1},
             "family": {{"type": "mam", "objective": {{"type": "denoising", "targets": {2}}}}}}})",
        file.path.string(), kMlp, targets);
    return test::refusal([&] {
      const Experiment experiment(test::in_float32(Spec::from_text(text, "spec.json")),
                                  test::loaded_registry(), "cpu");
    });
  };
  CHECK(refused(R"({"type": "paths", "blocks": 3, "mean": "probability"})") == "accepted");
  CHECK(refused(R"({"type": "paths", "blocks": 2, "mean": "probability"})")
            .ends_with("\"mean\": \"probability\" needs exact sums: \"blocks\" of 3 or more"));
}

TEST_CASE("parameters that would not be used are refused") {
  const auto refused = [](const std::string& family) {
    const auto text = R"({"marginalia": 1, "energy": {"type": "ising", "side": 3},
        "network": {"type": "mlp", "hidden": 8, "layers": 2}, "family": {"type": "mam", )" +
                      family + "}}";
    return test::refusal([&] {
      const Experiment experiment(test::in_float32(Spec::from_text(text, "spec.json")),
                                  test::loaded_registry(), "cpu");
    });
  };
  const auto says = [&](const std::string& family, const char* part) {
    return refused(family).find(part) != std::string::npos;
  };
  CHECK(says(R"("label_changes": true, "objective": "consistency")",
             "\"label_changes\" is for \"objective\": \"denoising\""));
  CHECK(says(R"("label_changes": true, "label_sweeps": 2)", "give one"));
  CHECK(says(R"("label_changes": true, "states": "model")", "needs states of the target"));
  for (const std::string rest :
       {R"("blocks": 2)", R"("objective": "particle")", R"("objective": "kl_penalty")"}) {
    CAPTURE(rest);
    CHECK(says(R"("size_power": 2, )" + rest, "\"size_power\" is for marginals fitted at links"));
  }
}

TEST_CASE("chains of training that no move changes are told, by variable") {
  // An even number of 1s among four. Gibbs redraws all four at once; a model's proposals for one
  // variable at a time change nothing.
  const test::TextFile file(
      "MARKOV 5 2 2 2 2 2 2 4 0 1 2 3 1 4  16 1 0 0 1 0 1 1 0 0 1 1 0 1 0 0 1  2 1 2");
  const auto warnings = [&](const std::string& states) {
    auto experiment = test::built(fmt::format(
        R"({{"marginalia": 2, "seed": 3, "energy": {{"type": "factor_graph", "file": "{}"}},
             "network": {{"type": "mlp", "hidden": 8, "layers": 2}},
             "family": {{"type": "mam", "states": {}}},
             "training": {{"steps": 12, "batch_size": 16}}}})",
        file.path.string(), states));
    const test::TempDir folder;
    const auto run = RunDirectory::create(folder / "run", false);
    train(experiment, run, {}, {});
    const auto before = experiment.family->warnings();
    load_model(run.checkpoints() / "last.safetensors", *experiment.family);
    CHECK(experiment.family->warnings() == before);
    return before;
  };
  CHECK(warnings(R"({"type": "gibbs", "count": 16, "burn_in": 5})").empty());
  const auto stuck = warnings(
      R"({"type": "metropolis", "count": 16, "block": 1, "start": {"type": "resampled"}})");
  REQUIRE(stuck.size() == 1);
  CHECK(stuck[0].starts_with("chains of training: variables 0, 1, 2 and 3 never moved: "));
}
