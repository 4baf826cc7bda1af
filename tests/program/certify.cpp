/// Certified answers as a user meets them: keys, what is kept with a run, and what is refused.
#include <sys/wait.h>

#include <sstream>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "program.h"

using namespace marginalia;
using test::has, test::run_marginalia, test::Result;
namespace fs = std::filesystem;

namespace {

/// A run on a 5 x 5 torus whose network has learnt next to nothing.
const fs::path& half_trained() {
  static test::TempDir folder;
  static const fs::path run = folder / "run";
  if (!fs::exists(run)) {
    write_atomically(folder / "spec.json", R"({"marginalia": 1, "seed": 1,
      "energy": {"type": "ising", "side": 5, "coupling": 0.2, "field": 0.1},
      "network": {"type": "lattice_conv", "channels": 4, "depth": 1, "prior": "local"},
      "family": {"type": "mam", "chain": {"count": 32, "burn_in": 10}},
      "training": {"steps": 5, "batch_size": 16},
      "evaluation": {"rows": 60, "samples": 0,
                     "metrics": [{"type": "log_z", "samples": 32},
                                 {"type": "conformal", "queries": 60, "bins": 1, "samples": 64}]}})");
    const auto result = run_marginalia(
        fmt::format("run '{}' --out '{}'", (folder / "spec.json").string(), run.string()));
    REQUIRE_MESSAGE(result.code == 0, result.err);
  }
  return run;
}

/// Lines {"x": [..]} of 25 spins, the first few known.
std::string question(std::initializer_list<int> known, const std::string& more = "") {
  Json x = Json::array();
  for (const auto value : known)
    x.push_back(value);
  while (x.size() < 25)
    x.push_back(nullptr);
  return fmt::format("{{\"x\": {}{}}}\n", x.dump(), more);
}

std::vector<Json> parse_lines(const Result& result) {
  REQUIRE_MESSAGE(result.code == 0, result.err);
  std::vector<Json> lines;
  std::stringstream all(result.out);
  for (std::string line; std::getline(all, line);)
    lines.push_back(Json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("certified answers hold the exact ones, with a network that has hardly been trained") {
  const auto run = half_trained().string();
  const auto asked = question({1, 1, 0}, ", \"id\": 4") + question({0, 1, 1, 0, 1, 1, 1});
  const auto exact = parse_lines(
      run_marginalia(fmt::format("marginals '{}' --input - --estimator exact", run), asked));
  for (const auto* more :
       {"--exact-width 0 --width 0.5", "--exact-width 0 --samples 32 --seconds 100", ""}) {
    CAPTURE(more);
    const auto lines = parse_lines(
        run_marginalia(fmt::format("marginals '{}' --input - --certify {}", run, more), asked));
    REQUIRE(lines.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto truth = exact[i].at("log_marginal").get<double>();
      CHECK(lines[i].at("lower").get<double>() <= truth);
      CHECK(lines[i].at("upper").get<double>() >= truth);
      CHECK(lines[i].at("confidence").get<double>() >= 0.95);
      CHECK(lines[i].contains("passes"));
      CHECK(lines[i].at("route") == (*more ? "network" : "exact"));
      CHECK(lines[i].contains("one_pass"));
    }
    CHECK(lines[0].at("id") == 4);
  }
  CHECK(fs::exists(half_trained() / "certified_log_z.json"));
  const auto evaluation = Json::parse(read_text(half_trained() / "evaluation.json"));
  CHECK(evaluation.at("metrics").at("log_z").at("certified").contains("lower"));
}

TEST_CASE(
    "conditional questions are certified, and conformal radii are added where they are asked") {
  const auto run = half_trained().string();
  const auto given =
      question({1, 1, 0}, R"(, "given": [1,1,null,null,null,null,null,null,null,null,)"
                          R"(null,null,null,null,null,null,null,null,null,null,null,)"
                          R"(null,null,null,null])");
  const auto exact = parse_lines(
      run_marginalia(fmt::format("marginals '{}' --input - --estimator exact", run), given));
  const auto held = parse_lines(run_marginalia(
      fmt::format("marginals '{}' --input - --certify --exact-width 0 --width 0.6", run), given));
  const auto truth = exact[0].at("log_marginal").get<double>();
  CHECK(held[0].at("lower").get<double>() <= truth);
  CHECK(held[0].at("upper").get<double>() >= truth);
  const auto radii = parse_lines(run_marginalia(
      fmt::format("marginals '{}' --input - --conformal", run), question({1, 1, 0})));
  CHECK(radii[0].at("upper").get<double>() > radii[0].at("log_marginal").get<double>());
  CHECK(has(radii[0].at("law"), "|S| uniform on 0..25"));
}

TEST_CASE("figures of one step are not put beside answers of another") {
  const auto run = half_trained();
  const auto file = run / "evaluation.json";
  const auto measured = read_text(file);
  auto other = Json::parse(measured);
  other["step"] = 3;
  write_atomically(file, other.dump());
  const auto radii = run_marginalia(
      fmt::format("marginals '{}' --input - --conformal", run.string()), question({1, 1, 0}));
  CHECK(radii.code == 2);
  CHECK(has(radii.err, "its conformal radii are of step 3, and the answers would be of step 5"));
  const auto merged = run_marginalia(fmt::format("evaluate '{}' --metrics ess", run.string()));
  CHECK(merged.code == 2);
  CHECK(has(merged.err, "holds figures of step 3, and these would be of step 5"));
  write_atomically(file, measured);
}

TEST_CASE("what cannot be certified is refused with the line, or said in the answer") {
  const auto run = half_trained().string();
  const auto short_of = run_marginalia(
      fmt::format("marginals '{}' --input - --certify --exact-width 0 --seconds 0.000000001", run),
      question({1}));
  REQUIRE_MESSAGE(short_of.code == 0, short_of.err);
  const auto line = Json::parse(short_of.out);
  CHECK(line.at("lower").is_null());
  CHECK(has(line.at("reason"), "the budget ended before a chain was drawn"));
  const auto alone = run_marginalia(fmt::format("marginals '{}' --input - --width 0.1", run), "");
  CHECK(alone.code == 2);
  CHECK(has(alone.err, "--width requires --certify"));
  const auto wrong = run_marginalia(
      fmt::format("marginals '{}' --input - --certify --confidence 1.5", run), question({1}));
  CHECK(wrong.code == 2);
  const auto both = run_marginalia(
      fmt::format("marginals '{}' --input - --certify --estimator chain", run), question({1}));
  CHECK(both.code == 2);
  CHECK(has(both.err, "excludes"));
}
