// Many exact answers in one start, and most probable states, as a user types them.
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "tiny_run.h"

using namespace marginalia;
using test::has, test::run_marginalia;
namespace fs = std::filesystem;

namespace {

/// Two bits that like to be equal, and one of them to be 1.
constexpr const char* kPairFile = "MARKOV\n2\n2 2\n2\n2 0 1\n1 0\n4\n3 1 1 3\n2\n1 2\n";
/// One bit, with evidence in pair.uai.evid's form.
constexpr const char* kBit = "MARKOV\n1\n2\n1\n1 0\n2\n1 4\n";

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::stringstream all(text);
  for (std::string line; std::getline(all, line);)
    lines.push_back(Json::parse(line));
  return lines;
}

/// A folder of models: pair.uai with evidence that x_1 = 0, bit.uai, a file that is no model.
struct Models {
  test::TempDir folder;
  Models() {
    write_atomically(folder / "pair.uai", kPairFile);
    write_atomically(folder / "pair.uai.evid", "1 1 0\n");
    write_atomically(folder / "bit.uai", kBit);
    write_atomically(folder / "bit.uai.MAR", "MAR\n1 2 0.2 0.8\n");
  }
  std::string path(const char* name) const { return (folder / name).string(); }
};

}  // namespace

TEST_CASE("exact takes specs, models and folders in one start") {
  const Models models;
  write_atomically(models.folder / "spec.json",
                   R"({"marginalia": 2, "energy": {"type": "factor_graph", "file": "bit.uai"}})");
  const auto folder = run_marginalia(fmt::format("exact '{}'", models.folder.path().string()));
  REQUIRE_MESSAGE(folder.code == 0, folder.err);
  const auto lines = lines_of(folder.out);
  REQUIRE(lines.size() == 3);  // by name
  CHECK(lines[0].at("file") == models.path("bit.uai"));
  CHECK(lines[0].at("log_z").get<double>() == doctest::Approx(std::log(5.0)));
  CHECK(lines[1].at("file") == models.path("pair.uai"));
  CHECK(lines[1].at("log_z").get<double>() == doctest::Approx(std::log(3.0 + 2.0)));  // x_1 = 0
  CHECK(lines[1].at("single_marginals")[0][1].get<double>() == doctest::Approx(0.4));
  CHECK(lines[2].at("log_z") == lines[0].at("log_z"));

  const auto one = run_marginalia(fmt::format("exact '{}'", models.path("bit.uai")));
  REQUIRE(one.code == 0);
  CHECK_FALSE(Json::parse(one.out).contains("file"));
}

TEST_CASE("what fails of many is an error in its line, and exit code 2") {
  const Models models;
  write_atomically(models.folder / "bad.uai", "MARKOV\n2\n2\n");
  const auto result =
      run_marginalia(fmt::format("exact '{}' '{}' '{}' energy.memory=1", models.path("bad.uai"),
                                 models.path("bit.uai"), models.path("none.uai")));
  CHECK(result.code == 2);
  const auto lines = lines_of(result.out);
  REQUIRE(lines.size() == 3);
  CHECK(has(lines[0].at("error").get<std::string>(), "bad.uai"));
  CHECK(lines[1].contains("log_z"));
  CHECK(has(lines[2].at("error").get<std::string>(), "there is no such file"));

  // settings hold for all
  const auto logs = run_marginalia(fmt::format("exact '{}' '{}' energy.tables=log",
                                               models.path("bit.uai"), models.path("pair.uai")));
  REQUIRE(logs.code == 0);
  const auto of_logs = lines_of(logs.out);
  CHECK(of_logs.at(0).at("log_z").get<double>() ==
        doctest::Approx(std::log(std::exp(1.0) + std::exp(4.0))));
  CHECK(of_logs.at(1).at("log_z").get<double>() ==
        doctest::Approx(std::log(std::exp(4.0) + std::exp(3.0))));

  const auto asked = run_marginalia(
      fmt::format("exact '{}' '{}' --input -", models.path("bit.uai"), models.path("pair.uai")),
      "{\"x\": [1]}\n");
  CHECK(asked.code == 2);
  CHECK(has(asked.err, "--input asks one spec alone"));
  const auto empty = run_marginalia("exact energy.memory=1");
  CHECK(empty.code == 2);
  CHECK(has(empty.err, "needs a spec, a UAI model, or a folder of either"));
}

TEST_CASE("most-probable completes what is given of an energy's state") {
  const Models models;
  for (const auto* verb : {"most-probable", "mpe", "map"}) {
    const auto result = run_marginalia(fmt::format("{} '{}'", verb, models.path("pair.uai")));
    REQUIRE_MESSAGE(result.code == 0, result.err);
    const auto answer = Json::parse(result.out);
    CHECK(answer.at("x") == Json{0, 0});  // 3 against 2
    CHECK(answer.at("log_density").get<double>() == doctest::Approx(std::log(3.0)));
    CHECK(answer.at("upper") == answer.at("log_density"));
    CHECK(answer.at("proved") == true);
    CHECK(answer.at("method") == "max-sum elimination");
  }
  fs::remove(models.folder / "pair.uai.evid");
  const auto asked = run_marginalia(fmt::format("mpe '{}' --input -", models.path("pair.uai")),
                                    "{\"given\": {\"1\": 0}, \"id\": 7}\n"
                                    "{\"x\": [null, null]}\n"
                                    "{\"x\": [null, 1], \"at\": [0]}\n");
  REQUIRE_MESSAGE(asked.code == 0, asked.err);
  const auto lines = lines_of(asked.out);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].at("x") == Json{0, 0});
  CHECK(lines[0].at("id") == 7);
  CHECK(lines[0].at("given") == Json{{"1", 0}});
  CHECK(lines[1].at("x") == Json{1, 1});
  CHECK(lines[2].at("x") == Json{{"0", 1}});

  const auto searched =
      run_marginalia(fmt::format("mpe '{}' --memory 0 --seconds 5", models.path("pair.uai")));
  REQUIRE(searched.code == 0);
  CHECK(Json::parse(searched.out).at("method") == "branch and bound");
  CHECK(Json::parse(searched.out).at("x") == Json{1, 1});
}

TEST_CASE("most-probable refuses what cannot be asked") {
  const Models models;
  write_atomically(models.folder / "pair.uai.evid", "0\n");
  write_atomically(models.folder / "pair.uai", "MARKOV\n2\n2 2\n1\n2 0 1\n4\n0 1 1 1\n");
  const auto impossible = run_marginalia(fmt::format("mpe '{}' --input -", models.path("pair.uai")),
                                         "{\"x\": [0, 0]}\n");
  CHECK(impossible.code == 2);
  CHECK(has(impossible.err, "stdin:1: "));
  const auto run = run_marginalia(
      fmt::format("mpe '{}' '{}'", test::tiny_run().string(), models.path("pair.uai")));
  CHECK(run.code == 2);
  CHECK(has(run.err, "is a run, which goes alone"));
  const auto checkpoint =
      run_marginalia(fmt::format("mpe '{}' --checkpoint last", models.path("pair.uai")));
  CHECK(checkpoint.code == 2);
  CHECK(has(checkpoint.err, "--checkpoint is of a run"));
  const auto family = run_marginalia(fmt::format("mpe '{}'", test::tiny_run().string()));
  CHECK(family.code == 2);
}

TEST_CASE("most-probable asks a trained tree, which proves its answer") {
  const test::TempDir folder;
  std::ofstream rows(folder / "rows.txt");
  for (int n = 0; n < 30; ++n)
    rows << (n % 3 ? "1 1 0\n" : "0 0 1\n");
  rows.close();
  write_atomically(folder / "tree.json", R"({"marginalia": 2, "seed": 0,
    "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"},
    "family": {"type": "chow_liu"}, "training": {"steps": 1},
    "evaluation": {"metrics": [], "samples": 0}})");
  const auto run = (folder / "run").string();
  const auto trained =
      run_marginalia(fmt::format("run '{}' --out '{}'", (folder / "tree.json").string(), run));
  REQUIRE_MESSAGE(trained.code == 0, trained.err);
  const auto answer = run_marginalia(fmt::format("most-probable '{}' --input -", run),
                                     "{\"x\": [0, null, null]}\n{\"x\": [null, null, null]}\n");
  REQUIRE_MESSAGE(answer.code == 0, answer.err);
  const auto lines = lines_of(answer.out);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].at("x") == Json{0, 0, 1});
  CHECK(lines[1].at("x") == Json{1, 1, 0});
  CHECK(lines[1].at("proved") == true);
}
