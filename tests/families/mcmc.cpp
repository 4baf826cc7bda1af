// Every sampler of mcmc against exact marginals and sums.
#include "marginalia_test.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "../energies/command.h"
#include "host/experiment/experiment.h"
#include "host/training/checkpoint.h"
#include "host/training/trainer.h"
#include "records/runs/run_directory.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using torch::Tensor;

namespace {

/// The family after some steps on `energy`.
struct Chains {
  test::TempDir folder;
  Experiment experiment;
  Chains(const std::string& energy, const std::string& params)
      : experiment(Spec::from_text(fmt::format(R"({{"marginalia": 2, "seed": 4, "energy": {},
                       "family": {{"type": "mcmc", {}}}, "training": {{"steps": 20}}}})",
                                               energy, params),
                                   "spec.json"),
                   test::loaded_registry(), "cpu") {
    train(experiment, RunDirectory::create(folder / "run", false), {}, {});
  }
  Answer ask(QueryKind kind, const Tensor& partial) const {
    Stream stream(3, "test");
    return experiment.family->answer({.kind = kind, .partial = partial}, stream);
  }
};

/// The share of value 1 of each variable, and of equal values of each pair, against the truth given
/// `partial` by listing all states: within five standard errors of independent samples.
void check_samples(const Energy& energy, const Tensor& x, const Tensor& partial) {
  const auto N = double(x.size(0));
  const auto D = x.size(1);
  const auto all = all_states(energy.space());
  const auto states = all.index({((all == partial).logical_or(partial == kUnknown)).all(1)});
  const auto p = energy.log_density(states).softmax(0);
  for (std::int64_t i = 0; i < D; ++i)
    for (std::int64_t j = 0; j <= i; ++j) {
      const auto event = [&](const Tensor& t) {
        return (i == j ? t.select(1, i) == 1 : t.select(1, i) == t.select(1, j)).to(torch::kDouble);
      };
      const auto expected = (event(states) * p).sum().item<double>();
      const auto seen = event(x).mean().item<double>();
      const auto variance = std::max(expected * (1 - expected), 0.0);
      CHECK(std::abs(seen - expected) < 5 * std::sqrt(variance / N) + 1e-9);
    }
}

constexpr const char* kChains = R"("chains": 500, "burn_in": 100, "sweeps": 20)";

std::string factor_graph(const test::TextFile& file) {
  return fmt::format(R"({{"type": "factor_graph", "file": "{}"}})", file.path.string());
}

/// x2 = x0 xor x1 with p(x0 = 1) = 0.9; x3 leans to x2, x4 is by itself.
constexpr const char* kParity =
    "MARKOV 5 2 2 2 2 2 5 1 0 1 1 3 2 0 1 2 2 3 1 4  2 0.1 0.9 2 1 1.3  8 1 0 0 1 0 1 1 0  "
    "4 1.6 1 1 1.6 2 1 2";

/// One factor that allows an even number of 1s among `count` variables.
std::string even(int count) {
  auto text = fmt::format("MARKOV {} ", count);
  std::string scope = fmt::format(" 1 {}", count), table = fmt::format(" {}", 1 << count);
  for (int i = 0; i < count; ++i) {
    text += "2 ";
    scope += fmt::format(" {}", i);
  }
  for (unsigned n = 0; n < 1U << count; ++n)
    table += std::popcount(n) % 2 ? " 0" : " 1";
  return text + scope + table;
}

/// The same of the first three of four variables, by a program: log f alone.
std::string even_command() {
  return test::command_spec({"python3", "-uc",
                             "import json\nwhile True: print('-inf' if "
                             "sum(json.loads(input())['state'][:3]) % 2 else 0)"},
                            R"({"variables": 4, "levels": 2})");
}

std::string named(int count) {
  std::string all = "variables 0";
  for (int i = 1; i < count; ++i)
    all += i + 1 < count ? fmt::format(", {}", i) : fmt::format(" and {}", i);
  return all + " never moved: ";
}

}  // namespace

TEST_CASE("every sampler draws from the density") {
  const std::string field = R"({"type": "ising", "side": 3, "coupling": 0.3, "field": 0.2})";
  const std::string potts = R"({"type": "potts", "states": 3, "sides": [2, 3], "boundary": "open",
                                "coupling": 0.8})";
  const std::string glass = R"({"type": "spin_glass", "side": 3, "couplings": "gaussian"})";
  // half of all states are forbidden, the start of most chains among them
  const std::string sets = R"({"type": "max_independent_set", "vertices": 6,
                               "edges": ["1 2", "2 3", "3 1", "3 4", "4 5", "5 6"]})";
  const std::pair<std::string, std::string> cases[] = {
      {"gibbs", field},         {"gibbs", potts},       {"block_gibbs", field},
      {"block_gibbs", potts},   {"block_gibbs", glass}, {"block_gibbs", sets},
      {"metropolis", glass},    {"metropolis", potts},  {"swendsen_wang", field},
      {"swendsen_wang", potts}, {"wolff", potts},       {"parallel_tempering", glass}};
  for (const auto& [sampler, energy] : cases) {
    CAPTURE(sampler);
    CAPTURE(energy);
    const Chains chains(energy, fmt::format(R"("sampler": "{}", {})", sampler, kChains));
    const auto& space = chains.experiment.space();
    const auto rows = 2000;
    const auto free = space.empty().expand({rows, -1}).contiguous();
    const auto x = chains.ask(QueryKind::kSample, free).states;
    check_samples(*chains.experiment.energy, x, free[0]);
    auto given = free.clone();
    given.select(1, 0).fill_(1);
    given.select(1, 4).fill_(0);
    check_samples(*chains.experiment.energy, chains.ask(QueryKind::kSample, given).states,
                  given[0]);
  }
}

TEST_CASE("conditionals by chains are near the exact ones") {
  const Chains chains(R"({"type": "potts", "states": 3, "sides": [2, 3], "boundary": "open",
                          "coupling": 0.8, "field": 0.3})",
                      R"("chains": 10, "burn_in": 2000)");
  const auto given = torch::tensor({{-1, 2, -1, -1, 0, -1}});
  const auto p = chains.ask(QueryKind::kConditionals, given).value.exp()[0];
  const auto exact = chains.experiment.energy->exact()->single_marginals(given[0]);
  const auto unknown = (given[0] == kUnknown).unsqueeze(1);
  CHECK((p - exact).masked_select(unknown).abs().max().item<double>() < 0.03);
}

TEST_CASE("variables that forbidden entries tie follow their law, by every sampler") {
  const test::TextFile file(kParity);
  for (const auto* sampler : {"gibbs", "block_gibbs", "metropolis", "parallel_tempering", "auto"}) {
    CAPTURE(sampler);
    const Chains chains(factor_graph(file),
                        fmt::format(R"("sampler": "{}", {})", sampler, kChains));
    const auto& energy = *chains.experiment.energy;
    const auto free = energy.space().empty().expand({2000, -1}).contiguous();
    check_samples(energy, chains.ask(QueryKind::kSample, free).states, free[0]);
    auto given = free.clone();
    given.select(1, 2).fill_(0);
    const auto under = chains.ask(QueryKind::kSample, given);
    check_samples(energy, under.states, given[0]);
    CHECK(under.warnings.empty());
    CHECK(chains.experiment.family->warnings().empty());
    const auto p = chains.ask(QueryKind::kConditionals, given.slice(0, 0, 1));
    const auto exact = energy.exact()->single_marginals(given[0]);
    CHECK((p.value.exp()[0] - exact).index({given[0] == kUnknown}).abs().max().item<double>() <
          0.03);
    CHECK(p.warnings.empty());
  }
}

TEST_CASE("variables that no move changes are told: of training, and of every answer") {
  const test::TextFile file(even(18));  // too wide to be redrawn at once
  auto all = torch::full({2, 18}, kUnknown, torch::kLong);
  all[1][0] = 1;
  for (const auto* sampler : {"gibbs", "metropolis", "parallel_tempering"}) {
    CAPTURE(sampler);
    const Chains chains(
        factor_graph(file),
        fmt::format(R"("sampler": "{}", "chains": 8, "burn_in": 5, "sweeps": 2)", sampler));
    const auto warnings = chains.experiment.family->warnings();
    REQUIRE(warnings.size() == 1);
    CHECK(
        warnings[0].starts_with("variables 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 6 more never"));
    const auto drawn = chains.experiment.family->chains();
    Stream stream(1, "test");
    CHECK(drawn->draw(3, stream).never_moved.size() == 18);
    const auto sampled = chains.ask(QueryKind::kSample, all.slice(0, 1)).warnings;
    REQUIRE(sampled.size() == 1);
    CHECK(
        sampled[0].text.starts_with("variables 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 5 more"));
    const auto answered = chains.ask(QueryKind::kConditionals, all).warnings;
    REQUIRE(answered.size() == 2);
    CHECK(answered[0].row == 0);
    CHECK(answered[1].row == 1);
    CHECK(answered[1].text == sampled[0].text);
  }
  // Pairs of variables flip, where they are redrawn two by two.
  const Chains pairs(factor_graph(file),
                     R"("sampler": "block_gibbs", "chains": 8, "burn_in": 5, "sweeps": 2)");
  CHECK(pairs.experiment.family->warnings().empty());
}

TEST_CASE("so of an energy that has log f alone, whose allowed values are found out") {
  const Chains chains(even_command(),
                      R"("sampler": "metropolis", "chains": 12, "burn_in": 5, "sweeps": 2)");
  const auto& family = *chains.experiment.family;
  REQUIRE(family.warnings().size() == 1);
  CHECK(family.warnings()[0].starts_with(named(3)));
  const auto warned = [&](const Tensor& given) {
    const auto warnings = chains.ask(QueryKind::kSample, given).warnings;
    return warnings.empty() ? "" : fmt::format("{}: {}", warnings[0].row, warnings[0].text);
  };
  CHECK(warned(torch::tensor({{-1, -1, 0, -1}})).starts_with("0: variables 0 and 1 never moved: "));
  CHECK(warned(torch::tensor({{1, -1, 0, -1}})).empty());  // x1 has one value then
}

TEST_CASE("what has moved stands in the checkpoint") {
  const test::TextFile file(even(18));
  const Chains one(factor_graph(file), R"("sampler": "gibbs", "chains": 8, "burn_in": 5)");
  Experiment again(Spec::from_text(one.experiment.resolved.dump(), "spec.json"),
                   test::loaded_registry(), "cpu");
  CHECK(again.family->warnings().empty());  // before its first step
  load_model(one.folder / "run/checkpoints/last.safetensors", *again.family);
  CHECK(again.family->warnings() == one.experiment.family->warnings());
  load_model(one.folder / "run/checkpoints/step_000000.safetensors", *again.family);
  CHECK(again.family->warnings().empty());
}

TEST_CASE("log q of a chain's sample is not known, and said so") {
  const Chains chains(R"({"type": "ising", "side": 3})", R"("chains": 4, "burn_in": 5)");
  const auto answer = chains.ask(QueryKind::kSample, chains.experiment.space().empty());
  CHECK(answer.value.isnan().all().item<bool>());
}

TEST_CASE("samplers refuse the energies that are not theirs") {
  const auto refusal = [](const std::string& energy, const std::string& sampler) {
    return test::refusal(
        [&] { Chains(energy, fmt::format(R"("sampler": "{}", "chains": 2)", sampler)); });
  };
  const auto says = [](const std::string& text, const char* part) {
    if (text.find(part) == text.npos) MESSAGE(text);
    return text.find(part) != text.npos;
  };
  CHECK(says(refusal(R"({"type": "spin_glass", "side": 3})", "swendsen_wang"),
             "need couplings that favour equal values"));
  CHECK(says(refusal(R"({"type": "ising", "side": 3, "field": 0.5})", "wolff"),
             "\"wolff\" is for energies without fields"));
}
