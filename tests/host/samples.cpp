// What is written of a model's samples.
#include "marginalia_test.h"

#include <fstream>
#include <set>

#include <marginalia/files.h>

#include "host/experiment/experiment.h"
#include "host/runs/samples.h"
#include "host/training/trainer.h"
#include "records/runs/run_directory.h"
#include "shared/chemistry/chemistry.h"

using namespace marginalia;

TEST_CASE("samples of an energy that people can read carry its text and its score") {
  const test::TempDir folder;
  const auto text = R"({"marginalia": 2, "seed": 2,
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
  const auto scores = Json::parse(read_text(run.path() / "samples" / "scores.json"));
  REQUIRE(scores.size() == 1);
  CHECK(scores[0].at("name") == "score");
  CHECK(scores[0].at("values").size() == 6);
  CHECK_FALSE(scores[0].contains("target"));
  CHECK_FALSE(std::filesystem::exists(run.path() / "samples" / "drawings.jsonl"));
}

TEST_CASE("the best of the samples are drawn, what reads the same once") {
  if (chemistry::rdkit_version().empty()) {
    test::skip("the program was built without RDKit");
    return;
  }
  const test::TempDir folder;
  const auto text = R"({"marginalia": 2, "seed": 2,
    "energy": {"type": "molecule_property", "property": "logp", "target": 1, "length": 3,
               "alphabet": ["[C]", "[=O]", "[N]"]},
    "family": {"type": "mcmc", "sampler": "metropolis", "chains": 4, "burn_in": 5},
    "training": {"steps": 1}})";
  Experiment experiment(Spec::from_text(text, "spec.json"), test::loaded_registry(), "cpu");
  const auto run = RunDirectory::create(folder / "run", false);
  train(experiment, run, {}, {});
  constexpr int kCount = 200;
  write_samples(experiment, run.path(), kCount);
  const auto samples = run.path() / "samples";

  std::map<std::string, int> times;
  std::ifstream all(samples / "samples.jsonl");
  for (std::string line; std::getline(all, line);)
    ++times[Json::parse(line).at("text")];
  times.erase("");  // no molecule
  std::ifstream drawn(samples / "drawings.jsonl");
  double last = INFINITY;
  std::size_t count = 0;
  for (std::string line; std::getline(drawn, line); ++count) {
    const auto json = Json::parse(line);
    const auto molecule = json.at("text").get<std::string>();
    CAPTURE(molecule);
    CHECK(json.at("times") == times[molecule]);
    CHECK(json.at("log_density").get<double>() <= last);
    last = json.at("log_density").get<double>();
    CHECK(json.at("scores").at("logp").get<double>() ==
          doctest::Approx(chemistry::Molecule(molecule).log_p()));
    const auto svg = json.at("svg").get<std::string>();
    CHECK(svg.find("</svg>") != svg.npos);
    times.erase(molecule);
  }
  CHECK(count > 5);
  CHECK((count == 24 || times.empty()));

  const auto scores = Json::parse(read_text(samples / "scores.json"));
  REQUIRE(scores.size() == 1);
  CHECK(scores[0].at("name") == "logp");
  CHECK(scores[0].at("target") == 1);
  CHECK(scores[0].at("spread").get<double>() == doctest::Approx(std::sqrt(0.5)));
  CHECK(scores[0].at("values").size() == kCount);
}

TEST_CASE("samples are drawn in the order of the evaluation") {
  const test::TempDir folder;
  const auto text = R"({"marginalia": 2, "energy": {"type": "ising", "side": 4},
    "network": {"type": "lattice_conv", "channels": 4, "depth": 1}, "family": {"type": "mam"},
    "evaluation": {"order": "parallel"}})";
  Experiment experiment(Spec::from_text(text, "spec.json"), test::loaded_registry(), "cpu");
  // a network that sees lattice means has no two sites that may be revealed together
  CHECK(test::refusal([&] {
          write_samples(experiment, folder.path(), 2);
        }).find("order \"parallel\" needs a network with a finite receptive field") !=
        std::string::npos);
}
