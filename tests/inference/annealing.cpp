// Training at other temperatures: f^b in place of f, and starts from a model of another energy.
#include "built.h"
#include "factors.h"

#include <cmath>

#include <fmt/format.h>

#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/gibbs.h>

#include "host/training/checkpoint.h"
#include "host/training/initialise.h"
#include "host/training/trainer.h"
#include "records/runs/run_directory.h"

using namespace marginalia;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

/// mam with chains, soft labels and the density built in, and what else is said of training.
std::string mam(double coupling, const std::string& training) {
  return fmt::format(R"({{"marginalia": 1, "seed": 5,
    "energy": {{"type": "ising", "side": 3, "coupling": {}, "field": 0.1}},
    "network": {{"type": "lattice_conv", "channels": 4, "depth": 1}},
    "family": {{"type": "mam", "label_sweeps": 2, "chain": {{"count": 32, "burn_in": 3}}}},
    "training": {{"batch_size": 16, {}}}}})",
                     coupling, training);
}

std::map<std::string, Tensor> read_tensors(const fs::path& run, const std::string& name) {
  return read_safetensors(run / "checkpoints" / name).tensors;
}

constexpr const char* kAnneal = R"("steps": 8, "log_every_steps": 1,
    "anneal": {"from": 0.25, "until": 0.5}, "checkpoint": {"every_steps": 3, "keep": 9})";

}  // namespace

TEST_CASE("the inverse temperature rises evenly from its start to 1, and stays") {
  const AnnealParams anneal{.from = 0.2, .until = 0.5};
  CHECK(anneal.at(0) == 0.2);
  CHECK(anneal.at(0.25) == doctest::Approx(0.6).epsilon(1e-12));
  CHECK(anneal.at(0.5) == 1);
  CHECK(anneal.at(0.9) == 1);
  CHECK(AnnealParams{}.at(0) == 1);                         // none unless asked for
  CHECK(AnnealParams{.from = 0.2, .until = 0}.at(0) == 1);  // over before it begins
  CHECK(AnnealParams{.from = 3, .until = 1}.at(0.5) == 2);  // from below as well
}

TEST_CASE("the metered energy is that of f^b, and what is forbidden stays so") {
  const auto energy = test::make<Energy>(R"({"type": "constrained", "given": "[1, null, null]",
                             "energy": {"type": "ising", "sides": [3], "coupling": 0.7}})");
  MeteredEnergy metered(*energy);
  const auto x = all_states(energy->space());
  CHECK(metered.log_density(x).equal(energy->log_density(x)));
  metered.set_inverse_temperature(0.25);
  const auto log_f = energy->log_density(x), annealed = metered.log_density(x);
  CHECK((log_f == -INFINITY).sum().item<int>() == 4);
  CHECK((annealed == -INFINITY).equal(log_f == -INFINITY));
  const auto allowed = log_f > -INFINITY;
  CHECK(torch::allclose(annealed.masked_select(allowed), 0.25 * log_f.masked_select(allowed)));
  CHECK(metered.evaluations() == 16);
}

TEST_CASE("Gibbs sweeps follow the inverse temperature, by every kernel") {
  const std::string ising = R"({"type": "ising", "side": 3, "coupling": 0.3, "field": 0.3})";
  const std::string potts = R"({"type": "potts", "sides": [2, 3], "boundary": "open",
                                "coupling": 0.8, "field": 0.6})";
  for (const auto& [name, json] :
       {std::pair{"pairs", ising}, {"factors", potts}, {"local", ising}}) {
    CAPTURE(std::string(name));
    const auto whole = test::make<Energy>(json);
    const test::Unfactored local(whole);
    const Energy& energy =
        std::string(name) == "local" ? static_cast<const Energy&>(local) : *whole;
    const auto singles = [&](double b) {
      const auto tempered = test::make<Energy>(fmt::format(
          R"({{"type": "tempered", "inverse_temperature": {}, "energy": {}}})", b, json));
      return EnumerationOracle(*tempered).single_marginals(energy.space().empty()[0]);
    };
    GibbsSampler sampler(energy);
    Stream stream(7, "test");
    auto x = torch::zeros({2000, energy.space().dimension()}, torch::kLong);
    for (const auto b : {0.5, 1.0, 0.25}) {
      CAPTURE(b);
      sampler.set_inverse_temperature(b);
      x = sampler.sweep(x, {}, 30, stream, false).states;
      const auto result = sampler.sweep(x, {}, 30, stream, true);
      x = result.states;
      const auto exact = singles(b);
      CHECK((result.mean.mean(0) - exact).abs().max().item<double>() < 0.01);
      const auto share = (x == 1).to(torch::kDouble).mean(0);
      CHECK((share - exact.select(1, 1)).abs().max().item<double>() < 0.056);  // five deviations
    }
    CHECK((singles(1) - singles(0.5)).abs().max().item<double>() > 0.05);
  }
}

TEST_CASE("a sweep at temperature 1 is what it was without one") {
  const auto energy =
      test::make<Energy>(R"({"type": "ising", "side": 3, "coupling": 0.6, "field": 0.3})");
  GibbsSampler plain(*energy), set(*energy);
  set.set_inverse_temperature(0.5);
  set.set_inverse_temperature(1);
  const auto x = torch::zeros({100, 9}, torch::kLong);
  Stream one(3, "test"), two(3, "test");
  CHECK(plain.sweep(x, {}, 5, one, false).states.equal(set.sweep(x, {}, 5, two, false).states));
}

TEST_CASE("a step of annealed training is one on the tempered energy, bit for bit") {
  const std::string energy = R"({"type": "ising", "side": 3, "coupling": 0.4, "field": 0.1})";
  const std::string tempered =
      fmt::format(R"({{"type": "tempered", "inverse_temperature": 0.5, "energy": {}}})", energy);
  const std::string conv = R"({"type": "lattice_conv", "channels": 4, "depth": 1})";
  const std::string chain = R"("chain": {"count": 32, "burn_in": 3, "block": 2})";
  const std::pair<std::string, std::string> models[] = {
      {conv, R"({"type": "mam", "label_sweeps": 2, )" + chain + "}"},
      {conv, R"({"type": "mam", "objective": "consistency", )" + chain + "}"},
      {conv, R"({"type": "mam", "states": "metropolis", "label_sweeps": 2, )" + chain + "}"},
      {conv, R"({"type": "mam", "objective": "kl_penalty", "states": "model", )" + chain + "}"},
      {R"({"type": "made", "hidden": 8, "layers": 1})", R"({"type": "arm"})"}};
  for (const auto& [network, family] : models) {
    CAPTURE(family);
    const auto after_a_step = [&](const std::string& target, const std::string& anneal) {
      test::TempDir folder;
      auto experiment = test::built(fmt::format(R"({{"marginalia": 1, "seed": 5, "energy": {},
          "network": {}, "family": {}, "training": {{"steps": 1, "batch_size": 16{}}}}})",
                                                target, network, family, anneal));
      const auto run = RunDirectory::create(folder / "run", false);
      train(experiment, run, {}, {});
      return read_tensors(run.path(), "last.safetensors");
    };
    // At the first step b is 1/2: halving is exact.
    const auto annealed = after_a_step(energy, R"(, "anneal": {"from": 0.5})");
    const auto plain = after_a_step(energy, "");
    bool differs = false;
    for (const auto& [name, tensor] : after_a_step(tempered, "")) {
      CAPTURE(name);
      CHECK(annealed.at(name).equal(tensor));
      differs = differs || !plain.at(name).equal(tensor);
    }
    CHECK(differs);
  }
}

TEST_CASE("training is annealed by its progress, which is logged") {
  test::TempDir folder;
  auto experiment = test::built(mam(0.3, kAnneal));
  const auto run = RunDirectory::create(folder / "run", false);
  train(experiment, run, {}, {});
  std::ifstream lines(folder.path() / "run" / "metrics.jsonl");
  std::vector<double> seen;
  for (std::string line; std::getline(lines, line);)
    seen.push_back(Json::parse(line).at("train/inverse_temperature").get<double>());
  // Steps 0 to 7 of 8: 0.25 + 0.75 t / 4, then 1.
  CHECK(seen == std::vector<double>{0.25, 0.4375, 0.625, 0.8125, 1, 1, 1, 1});
}

TEST_CASE("an annealed run that is resumed ends bit for bit where an unbroken one does") {
  test::TempDir folder;
  auto whole = test::built(mam(0.3, kAnneal));
  const auto first = RunDirectory::create(folder / "whole", false);
  train(whole, first, {}, {});
  auto rest = test::built(mam(0.3, kAnneal));
  const auto second = RunDirectory::create(folder / "rest", false);
  train(rest, second, first.checkpoints() / "step_000003.safetensors", {});
  const auto a = read_tensors(first.path(), "last.safetensors");
  const auto b = read_tensors(second.path(), "last.safetensors");
  REQUIRE(a.size() == b.size());
  for (const auto& [name, tensor] : a) {
    CAPTURE(name);
    CHECK(tensor.equal(b.at(name)));
  }
  // It is the annealing that made them: another start gives other parameters.
  auto other = test::built(mam(0.3, R"("steps": 8, "anneal": {"from": 0.5, "until": 0.5})"));
  const auto third = RunDirectory::create(folder / "other", false);
  train(other, third, {}, {});
  const auto c = read_tensors(third.path(), "last.safetensors");
  CHECK_FALSE(c.at("model.conditional.head_weight").equal(a.at("model.conditional.head_weight")));
}

TEST_CASE("a model starts from one of the energy at another temperature") {
  test::TempDir folder;
  auto warm = test::built(mam(0.2, R"("steps": 5)"));
  const auto source = RunDirectory::create(folder / "warm", false);
  train(warm, source, {}, {});
  auto cold = test::built(mam(0.5, R"("steps": 0)"));
  const auto started = initialise(source.path(), *cold.family);
  CHECK(started.untouched.empty());
  const auto target = RunDirectory::create(folder / "cold", false);
  train(cold, target, {}, {});
  const auto from = read_tensors(source.path(), "last.safetensors");
  const auto to = read_tensors(target.path(), "last.safetensors");
  std::int64_t shared = 0;
  for (const auto& [name, tensor] : to)
    if (name.starts_with("model.")) {
      CAPTURE(name);
      CHECK(tensor.equal(from.at(name)));
      ++shared;
    }
  CHECK(shared == 8);                        // three convolutions and a head, each with a bias
  CHECK_FALSE(to.contains("chain.states"));  // its chains begin anew, at its own temperature
}

TEST_CASE("what cannot be annealed is refused") {
  CHECK(test::refusal([] {
          test::built(R"({"marginalia": 1, "dataset": {"type": "table", "name": "tiny"},
                    "network": {"type": "mlp", "hidden": 8, "layers": 1},
                    "family": {"type": "any_order_arm"}, "training": {"anneal": {"from": 0.5}}})");
        }) == "spec.json: /: \"training.anneal\" needs an \"energy\"");
  test::TempDir folder;
  auto chains = test::built(R"({"marginalia": 1, "energy": {"type": "ising", "side": 3},
      "family": {"type": "mcmc", "chains": 4}, "training": {"anneal": {"from": 0.5}}})");
  const auto run = RunDirectory::create(folder / "run", false);
  CHECK(test::refusal([&] { train(chains, run, {}, {}); }) ==
        "training.anneal is for families that learn; mcmc draws from f as it is");
}
