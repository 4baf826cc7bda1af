// What is written of a model's samples.
#include "marginalia_test.h"

#include <fstream>

#include <marginalia/experiment.h>
#include <marginalia/run_directory.h>
#include <marginalia/samples.h>
#include <marginalia/trainer.h>

using namespace marginalia;

TEST_CASE("samples of an energy that people can read carry its text and its score") {
  const test::TempDir folder;
  const auto text = R"({"marginalia": 1, "seed": 2,
    "energy": {"type": "max_cut", "vertices": 5, "edges": ["1 2", "2 3", "3 4", "4 5", "5 1"],
               "inverse_temperature": 0.7},
    "family": {"type": "mcmc", "chains": 4, "burn_in": 5}, "training": {"steps": 1}})";
  Experiment experiment(Spec::from_text(text, "spec.json"), test::loaded_registry(), "cpu");
  const auto run = RunDirectory::create(folder / "run", false);
  train(experiment, run, {}, {});
  write_samples(experiment, run.path(), 6);
  std::ifstream lines(run.path() / "samples" / "samples.jsonl");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto json = Json::parse(line);
    const auto x = torch::tensor(json.at("x").get<std::vector<std::int64_t>>());
    CHECK(json.at("text") == experiment.energy->readable()->to_text(x));
    const auto score = json.at("score").get<double>();
    CHECK(score == (x != x.roll(1)).sum().item<double>());  // edges of the ring that are cut
    CHECK(json.at("log_density").get<double>() == doctest::Approx(0.7 * score));
    CHECK(json.at("log_prob").is_null());
  }
  CHECK(count == 6);
}
