// Rows in which some variables were not observed: families learn from what is known alone.
#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include "built.h"
#include "host/experiment/experiment.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"
#include "plugins/families/continuous_mixture/leaves.h"

#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/masking.h>
#include <marginalia/inference/tree.h>

using namespace marginalia;

namespace {

const std::string kPerceptron = R"("network": {"type": "mlp", "hidden": 24, "layers": 2},)";
const std::string kMade = R"("network": {"type": "made", "hidden": 24, "layers": 2},)";

/// 400 rows of four columns of 2, 3, 2 and 2 labels: each mostly says what the first does, and
/// every fourth cell is a gap.
void write_rows(const std::filesystem::path& path) {
  std::ofstream file(path);
  file << "a,b,c,d\n";
  torch::manual_seed(3);
  for (int n = 0; n < 400; ++n) {
    const auto a = torch::randint(2, {1}).item<std::int64_t>();
    for (int i = 0; i < 4; ++i) {
      auto value = torch::rand({1}).item<float>() < 0.9 ? a : 1 - a;
      if (i == 1 && torch::rand({1}).item<float>() < 0.2) value = 2;
      const bool gap = torch::rand({1}).item<float>() < 0.25;
      file << (gap ? "" : fmt::format("v{}", value)) << (i == 3 ? "\n" : ",");
    }
  }
}

struct Learner {
  test::TempDir folder;
  std::unique_ptr<Experiment> experiment;

  Learner(const std::string& family, const std::string& network, int steps) {
    write_rows(folder / "rows.csv");
    const auto text = fmt::format(R"({{"marginalia": 2, "seed": 2, "dataset": {{"type": "csv",
          "file": "rows.csv"}}, {} "family": {}, "training": {{"steps": {}, "batch_size": 64,
          "optimizer": {{"learning_rate": 0.01}}}}}})",
                                  network, family, steps);
    const auto spec = Spec::from_text(text, "spec.json", {folder.path(), folder.path()});
    experiment =
        std::make_unique<Experiment>(test::in_float32(spec), test::loaded_registry(), "cpu");
    train(*experiment, RunDirectory::create(folder / "run", false), {}, {});
    experiment->family->set_training(false);
  }
  Tensor log_p(const Tensor& partial) const {
    Stream stream(1, "test");
    const Query query{
        .kind = QueryKind::kLogMarginal, .partial = partial, .order = Order::kForward};
    return experiment->family->answer(query, stream).value;
  }
  /// The mean over the training rows of log p of what is known.
  double likelihood() const {
    const auto& data = *experiment->dataset;
    return log_p(data.rows(Split::kTrain, torch::arange(data.size(Split::kTrain))))
        .mean()
        .item<double>();
  }
};

}  // namespace

TEST_CASE("families learn from what is known of rows with gaps, and their mass is 1") {
  for (const auto& [family, network, steps] :
       std::vector<std::tuple<std::string, std::string, int>>{
           {R"({"type": "independent"})", "", 1},
           {R"({"type": "chow_liu"})", "", 10},
           {R"({"type": "circuit", "latents": 3})", "", 60},
           {R"({"type": "circuit", "latents": 3, "em": "full_batch"})", "", 40},
           {R"({"type": "mixture_of_trees", "components": 2})", "", 10},
           {R"({"type": "continuous_mixture", "latents": 2, "hidden": 16, "layers": 1,
                "points": 32, "points_test": 64})",
            "", 200},
           {R"({"type": "any_order_arm"})", kPerceptron, 200},
           {R"({"type": "arm"})", kMade, 200},
           {R"({"type": "masked_diffusion"})", kPerceptron, 200}}) {
    CAPTURE(family);
    const Learner learner(family, network, steps);
    REQUIRE(learner.experiment->dataset->has_gaps());
    const auto states = all_states(learner.experiment->space());
    CHECK(states.size(0) == 24);
    CHECK(learner.log_p(states).exp().sum().item<double>() == doctest::Approx(1).epsilon(1e-4));
    const auto alone = Learner(R"({"type": "independent"})", "", 1).likelihood();
    if (family.find("independent") == family.npos) CHECK(learner.likelihood() > alone + 0.3);
    CHECK(learner.likelihood() < 0);
  }
}

TEST_CASE("families that cannot learn from gaps say so") {
  for (const auto& [family, network] : std::vector<std::pair<std::string, std::string>>{
           {R"({"type": "mam"})", kPerceptron},
           {R"({"type": "continuous_mixture", "leaves": "chow_liu"})", ""},
           {R"({"type": "gflownet"})",
            R"("network": {"conditional": {"type": "mlp"}, "marginal": {"type": "mlp"},
                              "energy": {"type": "mlp"}},)"}}) {
    CAPTURE(family);
    const auto said = test::refusal([&] { Learner(family, network, 1); });
    CAPTURE(said);
    CHECK(said.find("learns from rows without gaps") != std::string::npos);
  }
}

namespace {

const StateSpace kMixed{{2, 3, 2, 3}, {4}};

/// A tree 0 -> 1, 0 -> 2, 2 -> 3 of random tables.
trees::Tree random_tree() {
  torch::manual_seed(9);
  auto p = torch::rand({4, 3, 3}, torch::kDouble) + 0.1;
  p = p.masked_fill(kMixed.possible().logical_not().unsqueeze(1), 0);
  return {torch::tensor({-1, 0, 0, 2}), torch::tensor({0, 1, 2, 3}), p / p.sum(2, true)};
}

Tensor with_gaps() {
  return torch::tensor(
      {{-1, -1, -1, -1}, {1, -1, 0, -1}, {-1, 2, -1, 1}, {0, 1, 1, 2}, {-1, 0, 1, -1}});
}

}  // namespace

TEST_CASE("expected counts of a tree's edges are those of all completions") {
  const auto tree = random_tree();
  const auto partial = with_gaps();
  const auto weight = torch::tensor({1.0, 2.0, 0.5, 1.0, 3.0}, torch::kDouble);
  const auto pairs = trees::expected_pairs(tree, partial, weight);
  const auto states = all_states(kMixed);
  const auto p = trees::log_marginal(tree, states).exp();
  auto expected = torch::zeros({4, 3, 3}, torch::kDouble);
  for (std::int64_t b = 0; b < partial.size(0); ++b) {
    const auto agrees = (partial[b] == kUnknown).logical_or(states == partial[b]).all(1);
    const auto posterior = torch::where(agrees, p, 0.0) / p.masked_select(agrees).sum();
    for (std::int64_t n = 0; n < states.size(0); ++n)
      for (std::int64_t i = 0; i < 4; ++i) {
        const auto above = tree.parent[i].item<std::int64_t>();
        const auto j = above < 0 ? 0 : states[n][above].item<std::int64_t>();
        expected[i][j][states[n][i].item<std::int64_t>()] += weight[b] * posterior[n];
      }
  }
  CHECK(pairs.allclose(expected, 1e-12, 1e-12));
  CHECK(pairs.sum({1, 2}).allclose(weight.sum().expand({4})));
}

TEST_CASE("EM on a tree's edges never makes what is known less likely") {
  auto tree = random_tree();
  const auto partial = with_gaps().repeat({3, 1});
  double before = -INFINITY;
  for (int step = 0; step < 20; ++step) {
    const auto now = trees::log_marginal(tree, partial).sum().item<double>();
    CHECK(now > before - 1e-12);
    before = now;
    tree = trees::with_pairs(tree, trees::expected_pairs(tree, partial), kMixed, 1e-12);
    CHECK(trees::log_marginal(tree, all_states(kMixed)).exp().sum().item<double>() ==
          doctest::Approx(1).epsilon(1e-9));
  }
}

TEST_CASE("trees of rows without gaps are what counting says, gap or no gap beside them") {
  torch::manual_seed(4);
  auto x = torch::stack({torch::randint(2, {200}), torch::randint(3, {200}),
                         torch::randint(2, {200}), torch::randint(3, {200})},
                        1)
               .to(torch::kLong);
  trees::Counts complete, with;
  trees::add(complete, x, 3, true);
  trees::add(with, torch::cat({x, torch::full({50, 4}, kUnknown, torch::kLong)}), 3, true);
  CHECK(trees::chow_liu(complete, kMixed, 1).p.equal(trees::chow_liu(with, kMixed, 1).p));
  CHECK(trees::independent(complete, kMixed, 1).p.equal(trees::independent(with, kMixed, 1).p));
}

TEST_CASE("masks keep a uniform part of what is known, and never ask for a gap") {
  const std::int64_t B = 6000;
  auto x = torch::zeros({B, 5}, torch::kLong);
  x.select(1, 1).fill_(kUnknown);
  x.select(1, 4).fill_(kUnknown);
  Stream stream(2, "test");
  const auto masked = mask_uniformly(x, stream);
  CHECK_FALSE(masked.unknown.select(1, 1).any().item<bool>());
  CHECK_FALSE(masked.unknown.select(1, 4).any().item<bool>());
  const auto kept = (masked.partial != kUnknown).sum(1);
  CHECK((kept + masked.unknown.sum(1) == 3).all().item<bool>());
  for (std::int64_t size = 0; size < 3; ++size)
    CHECK((kept == size).sum().item<std::int64_t>() == B / 3);
  for (const std::int64_t i : {0, 2, 3})  // each as often as the others: of three, one on average
    CHECK(std::abs(masked.unknown.select(1, i).sum().item<double>() - B * 2.0 / 3) <
          4 * std::sqrt(B * 0.23));
  const auto nothing = mask_uniformly(torch::full({3, 5}, kUnknown, torch::kLong), stream);
  CHECK_FALSE(nothing.unknown.any().item<bool>());
}

TEST_CASE("a mixture's likelihood of rows with gaps is that of what is known") {
  for (const auto& space : {StateSpace::uniform(4, 2), kMixed}) {
    torch::manual_seed(1);
    const auto leaves = mixture::independent_leaves(space);
    const auto outputs = torch::randn({6, leaves->outputs()});
    const auto log_weight = torch::randn({6}).log_softmax(0);
    const auto partial = with_gaps().minimum(torch::tensor(space.cardinalities) - 1);
    const auto components = leaves->components(outputs);
    const auto expected =
        (components->log_joint(partial, torch::kDouble) + log_weight.to(torch::kDouble))
            .logsumexp(1);
    CHECK(leaves->log_likelihood(partial, outputs, log_weight)
              .to(torch::kDouble)
              .allclose(expected, 1e-5, 1e-5));
    const auto rounded = components->log_joint(partial, torch::kFloat);
    CHECK((rounded.scalar_type() == torch::kFloat));
    CHECK(rounded.to(torch::kDouble)
              .allclose(components->log_joint(partial, torch::kDouble), 1e-5, 1e-5));
  }
}
