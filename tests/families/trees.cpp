#include <fstream>

#include <marginalia/files.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/tree.h>
#include <marginalia/network.h>

#include "built.h"
#include "host/evaluation/evaluator.h"
#include "host/training/trainer.h"
#include "marginalia_test.h"

using namespace marginalia;

namespace {

constexpr std::int64_t kValuesOf[] = {2, 3, 2, 2, 3};

/// Five variables of as many values, 40 rows in which neighbours depend on each other.
Tensor rows() {
  torch::manual_seed(11);
  auto x = torch::empty({40, 5}, torch::kLong);
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto fresh = torch::randint(kValuesOf[i], {40}, torch::kLong);
    const auto copied = i == 0 ? fresh : x.select(1, i - 1).clamp_max(kValuesOf[i] - 1);
    x.select(1, i).copy_(torch::where(torch::rand({40}) < 0.7, copied, fresh));
  }
  return x;
}

struct Fitted {
  test::TempDir folder;
  std::unique_ptr<Experiment> experiment;
  const Family& family() const { return *experiment->family; }
  Tensor log_p(const Tensor& partial, const Tensor& given = {}) const {
    Stream stream(1, "test");
    return family().answer({QueryKind::kLogMarginal, partial, given}, stream).value;
  }
};

std::unique_ptr<Fitted> fitted(const std::string& family) {
  auto made = std::make_unique<Fitted>();
  std::ofstream file(made->folder / "rows.txt");
  const auto x = rows();
  for (std::int64_t n = 0; n < x.size(0); ++n)
    for (std::int64_t i = 0; i < 5; ++i)
      file << x[n][i].item<std::int64_t>() << (i == 4 ? "\n" : ",");
  file.close();
  const auto text =
      R"({"marginalia": 2, "seed": 1, "training": {"steps": 1}, "family": {"type": ")" + family +
      R"("}, "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt",
                                      "test": "rows.txt"}})";
  const auto spec = Spec::from_text(text, "spec.json", {made->folder.path(), made->folder.path()});
  made->experiment =
      std::make_unique<Experiment>(test::in_float32(spec), test::loaded_registry(), "cpu");
  const auto run = RunDirectory::create(made->folder / "run", false);
  train(*made->experiment, run, {}, {});
  return made;
}

/// A hub of which `copies` variables are copies but for one in ten thousand.
trees::Tree hub(std::int64_t copies) {
  const auto D = copies + 1;
  trees::Tree tree{torch::zeros({D}, torch::kLong), torch::arange(D),
                   torch::tensor({1 - 1e-4, 1e-4, 1e-4, 1 - 1e-4}, torch::kDouble)
                       .view({1, 2, 2})
                       .repeat({D, 1, 1})};
  tree.parent[0] = -1;
  tree.p[0].fill_(0.5);
  return tree;
}

/// All 72 states.
Tensor all_states() {
  return marginalia::all_states(StateSpace{{std::begin(kValuesOf), std::end(kValuesOf)}, {5}});
}

/// Sum over the states that agree with a partial one, by the full states' own probabilities.
double summed(const Fitted& model, const Tensor& partial) {
  const auto states = all_states();
  const auto agrees = ((partial == kUnknown).logical_or(states == partial)).all(1);
  return model.log_p(states.index({agrees})).exp().sum().item<double>();
}

}  // namespace

TEST_CASE("independent variables: smoothed frequencies, and nothing else") {
  const auto model = fitted("independent");
  const auto x = rows();
  auto partial = torch::full({1, 5}, kUnknown, torch::kLong);
  partial[0][1] = 2;
  partial[0][3] = 0;
  const auto share = [&](std::int64_t i, std::int64_t k) {
    const auto n = (x.select(1, i) == k).sum().item<double>();
    return (n + 3.0 / double(kValuesOf[i])) / (40 + 3);  // a = 3, the largest K
  };
  CHECK(model->log_p(partial)[0].item<double>() ==
        doctest::Approx(std::log(share(1, 2) * share(3, 0))).epsilon(1e-12));
}

TEST_CASE("Chow-Liu: the tree of the greatest likelihood, and exact answers about it") {
  const auto model = fitted("chow_liu");
  const auto x = rows();
  const auto states = all_states();
  CHECK(model->log_p(states).exp().sum().item<double>() == doctest::Approx(1).epsilon(1e-12));

  SUBCASE("no other tree is likelier") {
    // Prufer's sequences enumerate all 125 trees of five variables.
    const auto joint = [&](std::int64_t i, std::int64_t k, std::int64_t j, std::int64_t l) {
      const auto n = ((x.select(1, i) == k).logical_and(x.select(1, j) == l)).sum().item<double>();
      return (n + 3.0 / double(kValuesOf[i] * kValuesOf[j])) / 43;
    };
    const auto single = [&](std::int64_t i, std::int64_t k) {
      return ((x.select(1, i) == k).sum().item<double>() + 3.0 / double(kValuesOf[i])) / 43;
    };
    double information[5][5] = {};
    for (int i = 0; i < 5; ++i)
      for (int j = 0; j < 5; ++j)
        for (int k = 0; k < kValuesOf[i]; ++k)
          for (int l = 0; l < kValuesOf[j] && i != j; ++l)
            information[i][j] +=
                joint(i, k, j, l) * std::log(joint(i, k, j, l) / single(i, k) / single(j, l));
    double best = -1;
    for (int code = 0; code < 125; ++code) {
      const int sequence[3] = {code % 5, code / 5 % 5, code / 25};
      int degree[5] = {1, 1, 1, 1, 1};
      for (const int v : sequence)
        ++degree[v];
      double sum = 0;
      for (const int v : sequence)
        for (int leaf = 0; leaf < 5; ++leaf)
          if (degree[leaf] == 1) {
            sum += information[leaf][v];
            --degree[leaf];
            --degree[v];
            break;
          }
      int last[2], count = 0;
      for (int v = 0; v < 5; ++v)
        if (degree[v] == 1) last[count++] = v;
      best = std::max(best, sum + information[last[0]][last[1]]);
    }
    // Under the smoothed law itself, cross-entropy = -sum of informations + single entropies.
    double entropies = 0;
    for (int i = 0; i < 5; ++i)
      for (int k = 0; k < kValuesOf[i]; ++k)
        entropies -= single(i, k) * std::log(single(i, k));
    const auto log_p = model->log_p(states);
    const auto entropy = -(log_p.exp() * log_p).sum().item<double>();
    CHECK(entropy == doctest::Approx(entropies - best).epsilon(1e-9));
  }

  SUBCASE("marginals, conditionals and samples agree with sums over all states") {
    torch::manual_seed(4);
    const auto partial = states.index({torch::randint(72, {12}, torch::kLong)})
                             .masked_fill(torch::rand({12, 5}) < 0.5, kUnknown);
    const auto log_p = model->log_p(partial);
    Stream stream(2, "test");
    const auto conditionals =
        model->family().answer({QueryKind::kConditionals, partial}, stream).value.exp();
    for (std::int64_t b = 0; b < 12; ++b) {
      const auto p = summed(*model, partial[b]);
      CHECK(log_p[b].item<double>() == doctest::Approx(std::log(p)).epsilon(1e-10));
      for (std::int64_t i = 0; i < 5; ++i)
        for (std::int64_t k = 0; k < 3 && partial[b][i].item<std::int64_t>() == kUnknown; ++k) {
          auto more = partial[b].clone();
          more[i] = k;
          CHECK(conditionals[b][i][k].item<double>() ==
                doctest::Approx(summed(*model, more) / p).epsilon(1e-10));
        }
    }
    auto given = torch::full({20000, 5}, kUnknown, torch::kLong);
    given.select(1, 2).fill_(1);
    const auto drawn = model->family().answer({QueryKind::kSample, given}, stream);
    for (std::int64_t i = 0; i < 5; ++i) {
      auto more = given[0].clone();
      more[i] = 0;
      if (i == 2) continue;
      const auto p = summed(*model, more) / summed(*model, given[0]);
      const auto share = (drawn.states.select(1, i) == 0).to(torch::kDouble).mean().item<double>();
      CHECK(std::abs(share - p) < 4 * std::sqrt(p * (1 - p) / 20000));
    }
    CHECK(torch::allclose(drawn.value, model->log_p(drawn.states, given)));
  }
}

TEST_CASE("a network with the prior chow_liu starts as that tree, in both heads") {
  const auto model = fitted("chow_liu");
  const auto& dataset = *model->experiment->dataset;
  const NetworkContext context{.space = dataset.space(), .dataset = &dataset};
  const auto net = test::loaded_registry().make<Network, NetworkContext>(
      Spec::from_text(R"({"type": "mlp", "hidden": 8, "layers": 2, "prior": "chow_liu"})", "s"),
      context);
  torch::manual_seed(6);
  const auto partial = all_states()
                           .index({torch::randint(72, {20}, torch::kLong)})
                           .masked_fill(torch::rand({20, 5}) < 0.5, kUnknown);
  const auto heads = net->evaluate({partial}, kLogits | kLogMarginal);
  CHECK((heads.log_marginal.to(torch::kDouble) - model->log_p(partial)).abs().max().item<double>() <
        1e-5);
  Stream stream(1, "test");
  const auto truth = model->family().answer({QueryKind::kConditionals, partial}, stream).value;
  const auto error = (heads.logits.softmax(2).to(torch::kDouble) - truth.exp()).abs();
  const auto unknown = (partial == kUnknown).unsqueeze(2).expand_as(error);
  CHECK(error.masked_select(unknown).max().item<double>() < 1e-6);
  CHECK(test::refusal([] {
          test::loaded_registry().make<Network, NetworkContext>(
              Spec::from_text(R"({"type": "mlp", "prior": "chow_liu"})", "s"),
              NetworkContext{StateSpace::uniform(3, 2)});
        }).find("needs a \"dataset\"") != std::string::npos);
}

TEST_CASE("many children that disagree do not underflow") {
  const auto tree = hub(400);
  auto x = torch::full({1, 401}, kUnknown, torch::kLong);
  x.slice(1, 1, 201).fill_(0);
  x.slice(1, 201, 401).fill_(1);
  // either value of the hub: 200 copies are right, 200 wrong
  const auto exact = 200 * (std::log(1e-4) + std::log1p(-1e-4));
  CHECK(trees::log_marginal(tree, x).item<double>() == doctest::Approx(exact).epsilon(1e-10));
  Stream stream(1, "test");
  const auto drawn = trees::sample(tree, x, stream);
  CHECK(drawn[0][0].item<std::int64_t>() >= 0);
  CHECK(trees::log_conditionals(tree, x)[0][0][0].exp().item<double>() ==
        doctest::Approx(0.5).epsilon(1e-9));
}

TEST_CASE("figures of training are of validation rows, whether or not they select a checkpoint") {
  const test::TempDir folder;
  write_atomically(folder / "train.txt", "0,0\n0,0\n0,0\n1,1\n");
  write_atomically(folder / "valid.txt", "0,0\n0,0\n");
  write_atomically(folder / "test.txt", "1,1\n1,1\n");
  for (const std::string select : {"", R"("select": {"metric": "nll/one_pass"},)"}) {
    CAPTURE(select);
    const auto spec = Spec::from_text(R"({"marginalia": 2, "family": {"type": "independent"},
        "dataset": {"type": "table", "train": "train.txt", "valid": "valid.txt",
                    "test": "test.txt"},
        "training": {"steps": 1}, "evaluation": {)" +
                                          select + R"( "split": "test",
        "every_steps": 1, "during": ["nll"]}})",
                                      "spec.json", {folder.path(), folder.path()});
    Experiment experiment(test::in_float32(spec), test::loaded_registry(), "cpu");
    const auto run = RunDirectory::create(folder / (select.empty() ? "a" : "b"), false);
    train(experiment, run, {}, {});
    std::istringstream lines(read_text(run.path() / "metrics.jsonl"));
    double nll = NAN;
    for (std::string line; std::getline(lines, line);)
      nll = Json::parse(line).value("eval/nll/one_pass", nll);
    CHECK(nll < 2 * std::log(2));  // of 0,0: the test rows, 1,1, are less likely than by chance
  }
}
