/// What is given has probability zero: refused by its line, whatever the verb, family and energy;
/// and numbers that are not known, on stdout and in files.
#include <fmt/format.h>

#include <marginalia/files.h>

#include "program.h"

using namespace marginalia;
using test::has, test::run_marginalia, test::Result;
namespace fs = std::filesystem;

namespace {

// Of three variables, the first and the second are never 1 together.
constexpr const char* kSets = R"({"type": "max_independent_set", "edges": ["1 2", "2 3"]})";
constexpr const char* kPossible = R"({"x": [0, 1, null]})";
constexpr const char* kImpossible = R"({"x": [1, 1, null]})";

struct Inputs {
  test::TempDir path;
  Inputs() {
    write_atomically(path / "rows.txt", "0,0,1\n1,0,1\n0,1,0\n1,0,0\n");
    write_atomically(path / "words.csv", "word,score\nAAA,1\nAAB,2\nABA,1\nABB,1\nBAA,3\nBAB,1\n"
                                         "BBA,0\nBBB,0\n");
    write_atomically(path / "sets.uai", "MARKOV 3 2 2 2 2 2 0 1 2 1 2 4 1 1 1 0 4 1 1 1 0");
    write_atomically(path / "sets.py",
                     "import json\nwhile True:\n  x = json.loads(input())['state']\n"
                     "  print('-inf' if x[0] * x[1] else 0, flush=True)\n");
    write_atomically(path / "pair.jsonl", std::string(kPossible) + "\n" + kImpossible + "\n");
    write_atomically(path / "given.jsonl", R"({"x": [null, null, 1], "given": [1, null, null]})"
                                           "\n\n"
                                           R"({"x": [null, null, 1], "given": [1, 1, null]})"
                                           "\n");
  }
};

const Inputs& inputs() {
  static const Inputs all;
  return all;
}

/// A run of one step, made once.
fs::path make_run(const std::string& name, const std::string& energy, const std::string& family,
                  const std::string& more = "") {
  const auto run = inputs().path / name;
  if (fs::exists(run)) return run;
  const auto spec = inputs().path / (name + ".json");
  write_atomically(spec, fmt::format(R"({{"marginalia": 2, "seed": 1, "energy": {}, "family": {}{},
      "training": {{"steps": 1, "batch_size": 8}}, "evaluation": {{"metrics": [], "samples": 0}}}})",
                                     energy, family, more));
  const auto result =
      run_marginalia(fmt::format("run '{}' --out '{}'", spec.string(), run.string()));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  return run;
}

void check_refused(const std::string& arguments, const char* file, int line) {
  CAPTURE(arguments);
  const auto path = (inputs().path / file).string();
  const auto result = run_marginalia(fmt::format(fmt::runtime(arguments), path));
  CHECK(result.code == 2);
  CHECK_MESSAGE(
      has(result.err, fmt::format("{}:{}: what is given has probability zero", path, line)),
      result.err);
}

/// conditionals and sample of `run`, where it offers them, refuse what is given and nothing else.
void check_asked(const fs::path& run, bool samples = true) {
  const auto of = "'" + run.string() + "'";
  const auto answered =
      run_marginalia("conditionals " + of + " --input -", std::string(kPossible) + "\n");
  CHECK_MESSAGE(answered.code == 0, answered.err);
  check_refused("conditionals " + of + " --input '{}'", "pair.jsonl", 2);
  if (samples) check_refused("sample " + of + " --given '{}' --count 3", "pair.jsonl", 2);
}

constexpr const char* kNetwork = R"(, "network": {"type": "mlp", "hidden": 8, "layers": 2})";
constexpr const char* kFewChains = R"({"type": "mcmc", "chains": 8, "burn_in": 20})";
// Of energies that tell no more than log f.
constexpr const char* kFewWalks =
    R"({"type": "mcmc", "sampler": "metropolis", "chains": 8, "burn_in": 20})";

}  // namespace

TEST_CASE("every family refuses evidence that its energy forbids, by its line") {
  const auto data = fmt::format(
      R"(, "dataset": {{"type": "table", "train": "rows.txt", "valid": "rows.txt",
                       "test": "rows.txt"}})");
  const std::string made = R"(, "network": {"type": "made", "hidden": 8, "layers": 1})";
  check_asked(make_run("mcmc", kSets, kFewChains));
  check_asked(make_run("belief", R"({"type": "factor_graph", "file": "sets.uai"})",
                       R"({"type": "belief_propagation"})"),
              false);
  check_asked(make_run("mam", kSets, R"({"type": "mam"})", kNetwork));
  check_asked(make_run("masked", kSets, R"({"type": "masked_diffusion",
      "objective": "weighted_denoising"})",
                       kNetwork));
  check_asked(make_run("mixture", kSets,
                       R"({"type": "continuous_mixture", "latents": 1, "points": 8,
                         "points_test": 8})",
                       data));
  // A gflownet learns where it meets no forbidden state: of 2^10 states one is.
  std::string rare = "MARKOV 10 2 2 2 2 2 2 2 2 2 2 1 10 0 1 2 3 4 5 6 7 8 9 1024";
  for (int n = 0; n < 1024; ++n)
    rare += n == 1023 ? " 0" : " 1";
  write_atomically(inputs().path / "rare.uai", rare);
  write_atomically(inputs().path / "ones.jsonl", R"({"x": [1, 1, 1, 1, 1, 1, 1, 1, 1, null]})"
                                                 "\n"
                                                 R"({"x": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]})"
                                                 "\n");
  const auto flow = make_run("gflownet", R"({"type": "factor_graph", "file": "rare.uai"})",
                             R"({"type": "gflownet"})", kNetwork);
  check_refused("conditionals '" + flow.string() + "' --input '{}'", "ones.jsonl", 2);
  check_refused("sample '" + flow.string() + "' --count 1 --given '{}'", "ones.jsonl", 2);
  const auto arm = make_run("arm", kSets, R"({"type": "arm"})", data + made);
  check_refused("sample '" + arm.string() + "' --count 1 --given '{}'", "pair.jsonl", 2);
}

TEST_CASE("every estimator of log p refuses it, and log p of what is impossible stays -inf") {
  const auto run = "'" + make_run("mam", kSets, R"({"type": "mam"})", kNetwork).string() + "'";
  for (const auto* how :
       {"", " --estimator one_pass", " --estimator chain", " --estimator ensemble",
        " --estimator exact", " --estimator routed", " --certify"}) {
    CAPTURE(how);
    check_refused("marginals " + run + " --input '{}'" + how, "given.jsonl", 3);
  }
  for (const auto* line : {kImpossible, R"({"x": [1, 1, 0], "given": [null, 1, null]})"}) {
    const auto exact = run_marginalia("marginals " + run + " --input - --estimator exact", line);
    REQUIRE_MESSAGE(exact.code == 0, exact.err);
    CHECK(Json::parse(exact.out).at("log_marginal") == "-inf");
  }
}

TEST_CASE("every energy that forbids states refuses it, with a run and without") {
  const auto command = fmt::format(
      R"({{"type": "command", "command": ["python3", "sets.py"],
           "space": {{"variables": 3, "levels": 2}}}})");
  const std::string landscape =
      R"({"type": "landscape", "file": "words.csv", "word": "word", "score": "score", "power": 1})";
  const std::string held = R"({"type": "constrained", "given": "[0, null, null]",
                               "energy": {"type": "ising", "sides": [3]}})";
  const auto held_command = fmt::format(
      R"({{"type": "constrained", "given": "[0, null, null]", "energy": {}}})", command);
  const auto sum = fmt::format(R"({{"type": "sum", "energies": [{}, {}]}})", kSets, command);
  const std::pair<const char*, std::string> energies[] = {
      {"sets", kSets},      {"landscape", landscape},       {"held", held},
      {"command", command}, {"held_command", held_command}, {"sum", sum}};
  for (const auto& [name, energy] : energies) {
    CAPTURE(name);
    const auto spec = inputs().path / fmt::format("{}_alone.json", name);
    write_atomically(spec, fmt::format(R"({{"marginalia": 2, "energy": {}}})", energy));
    check_refused("exact '" + spec.string() + "' --input '{}'", "given.jsonl",
                  std::string(name).starts_with("held") ? 1 : 3);
    const bool local = energy.find("command") == energy.npos;
    const auto run =
        make_run(fmt::format("chains_{}", name), energy, local ? kFewChains : kFewWalks);
    check_refused("sample '" + run.string() + "' --count 1 --given '{}'", "pair.jsonl", 2);
  }
}

TEST_CASE("evidence of a spec that contradicts its factors is refused before a run begins") {
  write_atomically(inputs().path / "both.evid", "2 0 1 1 1");
  const auto spec = inputs().path / "both.json";
  write_atomically(spec, fmt::format(R"({{"marginalia": 2, "family": {},
      "energy": {{"type": "factor_graph", "file": "sets.uai", "evidence": "both.evid"}},
      "training": {{"steps": 1}}}})",
                                     kFewChains));
  const auto run = inputs().path / "both";
  const auto result =
      run_marginalia(fmt::format("run '{}' --out '{}'", spec.string(), run.string()));
  CHECK(result.code == 2);
  CHECK(has(result.err, "both.evid: no state agrees with it"));
  CHECK_FALSE(fs::exists(run));
}

TEST_CASE("a number that is not known is null on stdout and in files, and such a run ends well") {
  const auto chains = make_run("mcmc", kSets, kFewChains);
  const auto sampled = run_marginalia(fmt::format("sample '{}' --count 1", chains.string()));
  REQUIRE(sampled.code == 0);
  CHECK(Json::parse(sampled.out).at("log_prob").is_null());

  const auto masked = make_run("corrected", kSets,
                               R"({"type": "masked_diffusion", "objective": "weighted_denoising",
                                 "corrector": {"rounds": 1, "share": 0.5}})",
                               kNetwork);
  const auto steps =
      run_marginalia(fmt::format("sample '{}' --count 2 --steps 2", masked.string()));
  REQUIRE_MESSAGE(steps.code == 0, steps.err);
  CHECK(Json::parse(steps.out.substr(0, steps.out.find('\n'))).at("log_prob").is_null());

  // One state alone is allowed: log f never varies, so that no R-hat is known.
  const auto spec = inputs().path / "still.json";
  write_atomically(spec, R"({"marginalia": 2, "seed": 1, "family": {"type": "mcmc", "chains": 8},
      "energy": {"type": "constrained", "given": "[1, 0, 1]",
                 "energy": {"type": "ising", "sides": [3]}},
      "training": {"steps": 12, "log_every_steps": 1},
      "evaluation": {"metrics": ["split_r_hat", "observables"], "samples": 2,
                     "reference": {"use": "always", "samples": 40}}})");
  const auto run = (inputs().path / "still").string();
  const auto ended = run_marginalia(fmt::format("run '{}' --out '{}'", spec.string(), run));
  CHECK_MESSAGE(ended.code == 0, ended.err);
  CHECK_FALSE(has(ended.out, "nan"));
  CHECK_FALSE(has(ended.err, "never moved"));
  const auto log = read_text(fs::path(run) / "metrics.jsonl");
  CHECK(has(log, "\"chain/split_r_hat\":null"));
  const auto again = run_marginalia(fmt::format("evaluate '{}'", run));
  CHECK_MESSAGE(again.code == 0, again.err);
  CHECK_FALSE(has(again.out, "nan"));
  const auto resumed = run_marginalia(fmt::format("resume '{}'", run));
  CHECK(resumed.code == 0);
}

TEST_CASE("chains that never moved are told by run, and by line where they are asked") {
  write_atomically(inputs().path / "odd.py",
                   "import json\nwhile True:\n  x = json.loads(input())['state']\n"
                   "  print('-inf' if sum(x) % 2 else 0, flush=True)\n");
  const std::string energy = R"({"type": "command", "command": ["python3", "odd.py"],
                                 "space": {"variables": 3, "levels": 2}})";
  const auto spec = inputs().path / "odd.json";
  write_atomically(spec, fmt::format(R"({{"marginalia": 2, "seed": 1, "energy": {}, "family": {},
      "training": {{"steps": 4}}, "evaluation": {{"metrics": ["observables"], "samples": 0,
      "reference": {{"use": "always", "samples": 40}}}}}})",
                                     energy, kFewWalks));
  const auto run = (inputs().path / "odd").string();
  const auto made = run_marginalia(fmt::format("run '{}' --out '{}'", spec.string(), run));
  REQUIRE_MESSAGE(made.code == 0, made.err);
  CHECK(has(made.err, "marginalia: warning: variables 0, 1 and 2 never moved: "));
  CHECK(has(read_text(fs::path(run) / "log.txt"), "warning: variables 0, 1 and 2 never moved: "));
  CHECK(has(made.out, "not computed: "));
  CHECK(has(made.out, "none: the reference chains are no truth: variables 0, 1 and 2 never moved"));
  const auto asked = run_marginalia(fmt::format("sample '{}' --given - --count 4", run),
                                    R"({"x": [1, 0, null]})"
                                    "\n"
                                    R"({"x": [1, null, null]})");
  REQUIRE(asked.code == 0);
  CHECK_FALSE(has(asked.err, "stdin:1:"));  // x2 is 1, and chains say so
  CHECK(has(asked.err, "marginalia: warning: stdin:2: variables 1 and 2 never moved: "));
}
