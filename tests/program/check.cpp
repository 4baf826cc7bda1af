/// `marginalia check --open`: what `run` would open is opened, and nothing is written.
#include <fmt/format.h>

#include <marginalia/files.h>

#include "program.h"

using namespace marginalia;
using test::has, test::Result;
namespace fs = std::filesystem;

namespace {

/// `marginalia check ARGUMENTS` in `folder`.
Result check(const fs::path& folder, const std::string& arguments) {
  return test::run_shell(
      fmt::format("cd '{}' && '{}' check {}", folder.string(), MARGINALIA_PROGRAM, arguments));
}

constexpr const char* kEnergy = R"({"marginalia": 2, "seed": 1,
  "energy": {"type": "factor_graph", "file": "pair.uai"},
  "network": {"type": "mlp", "hidden": 4, "layers": 1},
  "family": {"type": "gflownet"}, "training": {"steps": 0}})";
constexpr const char* kPair = "MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 2 3 4\n";
constexpr const char* kTable = R"({"marginalia": 2, "seed": 1,
  "dataset": {"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"},
  "family": {"type": "chow_liu"}, "training": {"steps": 1}})";

/// Without --open a spec is right; with it there is something wrong, which is said in these words.
void check_refused(const fs::path& folder, const std::string& arguments, const std::string& words) {
  CAPTURE(arguments);
  CHECK(check(folder, arguments).code == 0);
  const auto opened = check(folder, arguments + " --open");
  CAPTURE(opened.err);
  CHECK(opened.code == 2);
  CHECK(opened.out.empty());
  CHECK(has(opened.err, words));
}

TEST_CASE("check --open reads the files of energy and data, and prints what check prints") {
  const test::TempDir folder;
  write_atomically(folder / "energy.json", kEnergy);
  write_atomically(folder / "table.json", kTable);
  check_refused(folder.path(), "energy.json", "pair.uai");
  check_refused(folder.path(), "table.json", "rows.txt");
  write_atomically(folder / "pair.uai", "MARKOV\n2\n2 2\n1\n2 0 1\n4\n1 2 3\n");
  write_atomically(folder / "rows.txt", "0 1\n1 x\n");
  check_refused(folder.path(), "energy.json", "pair.uai");
  check_refused(folder.path(), "table.json", "rows.txt");
  write_atomically(folder / "pair.uai", kPair);
  write_atomically(folder / "rows.txt", "0 1\n1 1\n");
  for (const std::string spec : {"energy.json", "table.json"}) {
    const auto plain = check(folder.path(), spec), opened = check(folder.path(), spec + " --open");
    CHECK(opened.code == 0);
    CHECK(opened.out == plain.out);
  }
  check_refused(folder.path(), "table.json family.type=mcmc", "draws from an \"energy\"");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 4);  // nothing was written
}

TEST_CASE("check --open reads what training starts from, and says what it takes") {
  const test::TempDir folder;
  write_atomically(folder / "energy.json", kEnergy);
  write_atomically(folder / "pair.uai", kPair);
  REQUIRE(test::run_shell(fmt::format("cd '{}' && '{}' run energy.json --out run",
                                      folder.path().string(), MARGINALIA_PROGRAM))
              .code == 0);
  check_refused(folder.path(), "energy.json training.init=nothing",
                "nothing is neither a run nor a checkpoint");
  write_atomically(folder / "torn.safetensors", "no tensors here");
  check_refused(folder.path(), "energy.json training.init=torn.safetensors",
                "torn.safetensors: not a safetensors file");
  const auto other = check(folder.path(), "energy.json network.hidden=5 training.init=run --open");
  CHECK(other.code == 0);  // what does not depend on the width fits
  CHECK(has(other.err, "; not taken: "));
  CHECK(has(other.err, "; left as they began: "));
  const auto taken = check(folder.path(), "energy.json training.init=run --open");
  CHECK(taken.code == 0);
  CHECK(has(taken.err, "run/checkpoints/last.safetensors: "));
  CHECK(has(taken.err, " tensors taken"));
}

TEST_CASE("check --open opens each experiment of a study, those of other seeds once") {
  const test::TempDir folder;
  write_atomically(folder / "base.json", kEnergy);
  write_atomically(folder / "pair.uai", kPair);
  write_atomically(folder / "s.json", R"({"marginalia_study": 2, "base": "base.json", "seeds": 3,
      "variants": {"sound": {}, "other": {"energy.file": "other.uai"}}})");
  check_refused(folder.path(), "s.json", "other.uai");
  write_atomically(folder / "other.uai", kPair);
  const auto opened = check(folder.path(), "s.json --open");
  CAPTURE(opened.err);
  CHECK(opened.code == 0);
  CHECK(has(opened.out, "\"other-seed2\": {"));
}

}  // namespace
