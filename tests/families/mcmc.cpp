// Every sampler of mcmc against exact marginals and sums.
#include "marginalia_test.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "host/experiment/experiment.h"
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
