#include <marginalia/evaluator.h>
#include <marginalia/trainer.h>

#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// Trains a small model of the 3 x 3 torus with `family` and measures it against enumeration.
Json trained(const std::string& family, const std::string& network, int steps) {
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
  Experiment experiment(Spec::from_text(text, "spec.json"), test::loaded_registry(), "cpu");
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
  const auto result = trained(R"({"type": "mam", "label_sweeps": 8,
                                  "chain": {"count": 256, "burn_in": 50}})",
                              kConvPrior, 150);
  CHECK(figure(result, "ess/importance") > 0.995);
  CHECK(figure(result, "marginal_error/one_pass") < 0.02);
  CHECK(figure(result, "marginal_error/chain") < 0.04);
  CHECK(std::abs(figure(result, "log_z/learned") - figure(result, "log_z/exact")) < 0.02);
}

TEST_CASE("consistency alone learns from states of the model itself") {
  const auto result = trained(R"({"type": "mam", "objective": "consistency", "states": "model",
                                  "chain": {"count": 256, "block": 3}})",
                              kConv, 1500);
  CHECK(figure(result, "ess/importance") > 0.95);
  CHECK(figure(result, "marginal_error/one_pass") < 0.15);
  CHECK(std::abs(figure(result, "log_z/learned") - figure(result, "log_z/exact")) < 0.1);
}

TEST_CASE("the published objective reaches the target, without dividing by the batch's spread") {
  const auto result = trained(R"({"type": "mam", "objective": "kl_penalty", "states": "model",
                                  "chain": {"count": 256, "block": 3}})",
                              R"({"type": "mlp", "hidden": 128, "layers": 3})", 1500);
  CHECK(figure(result, "ess/importance") > 0.9);
  CHECK(figure(result, "marginal_error/one_pass") < 0.3);
}
