/// Training from an energy by several ranks: each draws states of its own, all learn from all.
#include <atomic>
#include <cmath>

#include <fmt/format.h>

#include <marginalia/inference/enumeration.h>

#include "built.h"
#include "training_on_ranks.h"

using namespace marginalia;

namespace {

/// What learns the 3 x 3 Ising torus, and how far from it at most, in nats of KL(p || q); NaN:
/// another case stands for it, or it has no log p.
struct Case {
  std::string name, network, family;
  double farthest = NAN;  // after 300 steps
};

const std::vector<Case>& cases() {
  const std::string mlp = R"("network": {"type": "mlp", "hidden": 48, "layers": 2})";
  const std::string made = R"("network": {"type": "made", "hidden": 48, "layers": 1})";
  const std::string by_role =
      R"("network": {"conditional": {"type": "mlp", "hidden": 32},
                     "marginal": {"type": "mlp", "hidden": 32}})";
  const std::string none = R"("note": "no network")";
  static const std::vector<Case> all{
      {"arm", made, R"({"type": "arm"})", 0.02},
      {"arm, by one conditional", made, R"({"type": "arm", "objective": "monte_carlo"})"},
      {"mam by gibbs", mlp,
       R"({"type": "mam", "states": {"type": "gibbs", "count": 64, "burn_in": 20}})"},
      {"mam by gibbs, with labels of sweeps", mlp,
       R"({"type": "mam", "states": {"type": "gibbs", "count": 64, "burn_in": 20},
           "objective": {"labels": {"type": "gibbs_sweeps", "count": 4}}})"},
      {"mam by metropolis", mlp,
       R"({"type": "mam", "states": {"type": "metropolis", "count": 64, "block": 3,
           "start": {"type": "resampled", "pool": 256}}})",
       0.05},
      {"mam, the published objective", by_role,
       R"({"type": "mam", "objective": {"type": "kl_penalty", "alpha": 4},
           "states": {"type": "model", "count": 64, "block": 3, "rejuvenate": 1.1}})",
       0.3},
      {"mam, consistency", mlp,
       R"({"type": "mam", "objective": "consistency", "states": {"type": "gibbs", "count": 64}})"},
      {"mam, particles", mlp,
       R"({"type": "mam", "objective": "particle", "states": {"type": "model", "count": 64}})"},
      {"gflownet", mlp, R"({"type": "gflownet", "replay": {"size": 512, "share": 0.5}})"},
      {"gflownet, by variance", mlp, R"({"type": "gflownet", "objective": "log_variance"})", 0.1},
      {"masked_diffusion", mlp,
       R"({"type": "masked_diffusion", "objective": {"type": "weighted_denoising",
           "replay": {"size": 1024, "fresh": 256}}})",
       0.05},
      {"masked_diffusion, by variance", mlp,
       R"({"type": "masked_diffusion", "objective": "log_variance"})"},
      {"continuous_mixture", none,
       R"({"type": "continuous_mixture", "latents": 2, "hidden": 32, "points": 64,
           "points_test": 256})",
       0.1},
      {"mcmc", none, R"({"type": "mcmc", "chains": 32, "sweeps": 1, "burn_in": 10})"},
      {"mcmc, tempering", none,
       R"({"type": "mcmc", "sampler": {"type": "parallel_tempering", "temperatures": 3},
           "chains": 16, "sweeps": 1, "burn_in": 10})"}};
  return all;
}

Experiment experiment(const Case& of, int steps, const std::string& training = "") {
  const auto text = fmt::format(
      R"({{"marginalia": 2, "seed": 5, {}, "family": {},
          "energy": {{"type": "ising", "side": 3, "coupling": 0.2, "field": 0.2}},
          "training": {{"steps": {}, "batch_size": 64, "clip_norm": 1, "precision": "float32",
                        "optimizer": {{"learning_rate": 0.004}}, "schedule": {{"type": "cosine"}}{}}}}})",
      of.network, of.family, steps, training);
  return Experiment(Spec::from_text(text, "spec.json"), test::loaded_registry(), "cpu");
}

/// KL(p || q) of the energy's law p and what the family has learned.
double divergence(Experiment& of) {
  const auto states = all_states(of.space());
  const auto log_p = of.energy->log_density(states).log_softmax(0);
  of.family->set_training(false);
  Stream stream(1, "test");
  const auto log_q = of.family->answer({QueryKind::kLogMarginal, states}, stream).value;
  return (log_p.exp() * (log_p - log_q)).sum().item<double>();
}

}  // namespace

TEST_SUITE_BEGIN("ranks" * doctest::skip(!why_no_ranks().empty()));

TEST_CASE("two ranks learn an energy, and know the same bit for bit") {
  const test::TempDir folder;
  for (const auto& of : cases()) {
    if (std::isnan(of.farthest)) continue;
    CAPTURE(of.name);
    const auto make = [&] { return experiment(of, 300); };
    const auto two = test::train_on_ranks(2, make, folder / of.name);
    CHECK(two.knows[0].equal(two.knows[1]));
    auto learned = make();
    load_model(folder / of.name / "checkpoints/last.safetensors", *learned.family);
    CHECK(divergence(learned) < of.farthest);
  }
}

TEST_CASE("what two ranks ask of an energy is counted together, and is what one asks") {
  const test::TempDir folder;
  for (const auto& of : cases()) {
    CAPTURE(of.name);
    const auto make = [&] { return experiment(of, 20); };
    const auto one = test::train_on_ranks(1, make, folder / (of.name + " alone")).states[0];
    const auto learned = test::train_on_ranks(2, make, folder / of.name);
    CHECK(learned.knows[0].equal(learned.knows[1]));
    const auto& two = learned.states[0];
    CHECK(two.energy_evaluations == learned.states[1].energy_evaluations);
    CHECK(double(two.energy_evaluations) ==
          doctest::Approx(double(one.energy_evaluations)).epsilon(0.02));
    // What each does alike, as a mixture's pass of the decoder, is counted of each.
    CHECK(double(two.passes) >= 0.9 * double(one.passes));
    CHECK(double(two.passes) <= 2.1 * double(one.passes));
  }
}

TEST_CASE("chains of two ranks are each others' continuation: none is moved twice or left out") {
  const test::TempDir folder;
  const Case& chains = cases()[13];
  const auto make = [&] { return experiment(chains, 3); };
  const auto learned = test::train_on_ranks(2, make, folder / "run");
  auto read = make();
  load_model(folder / "run/checkpoints/last.safetensors", *read.family);
  TensorCollector state;
  read.family->visit(state);
  const auto states = state.tensors.at("chain.states");
  REQUIRE(states.sizes() == at::IntArrayRef({32, 9}));
  const auto first = states.slice(0, 0, 16), second = states.slice(0, 16);
  CHECK_FALSE(first.equal(second));                          // each rank draws for itself
  const auto log_f = state.tensors.at("chain.log_density");  // [C, steps]
  CHECK(log_f.select(1, 2).allclose(read.energy->log_density(states)));
}

TEST_CASE("two ranks that learn from an energy and are stopped end bit for bit as unbroken") {
  const test::TempDir folder;
  for (const std::size_t number : {4u, 8u, 10u, 14u}) {
    const auto& of = cases()[number];
    CAPTURE(of.name);
    const auto make = [&] {
      return experiment(of, 12, R"(, "log_every_steps": 5, "checkpoint": {"keep": 9})");
    };
    const auto unbroken = test::train_on_ranks(2, make, folder / (of.name + " whole"));
    std::vector<std::atomic<bool>> stops(2);
    stops[1] = true;
    const auto broken = folder / of.name;
    for (int step = 0; step < 5; ++step)
      test::train_on_ranks(2, make, broken, &stops);
    const auto resumed = test::train_on_ranks(2, make, broken);
    CHECK(resumed.knows[0].equal(unbroken.knows[0]));
    CHECK(resumed.states[1].energy_evaluations == unbroken.states[0].energy_evaluations);
    CHECK(test::read_steady_numbers(broken) ==
          test::read_steady_numbers(folder / (of.name + " whole")));
  }
}

TEST_CASE("chains that ranks do not divide are refused by all") {
  const test::TempDir folder;
  const Case odd{"", R"("note": "no network")", R"({"type": "mcmc", "chains": 31, "burn_in": 1})"};
  CHECK(test::refusal([&] {
          test::train_on_ranks(
              2, [&] { return experiment(odd, 2); }, folder / "run");
        }).find("2 ranks do not divide 31 rows of what it draws") != std::string::npos);
}

TEST_SUITE_END();
