/// The program as a user meets it: verbs, streams, exit codes, and what is kept when things go
/// wrong.
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "program.h"
#include "records/runs/run_directory.h"

using namespace marginalia;
using test::has, test::marginalia_, test::Result;
namespace fs = std::filesystem;

namespace {

const char* kTiny = R"({"marginalia": 1, "seed": 1,
  "energy": {"type": "ising", "side": 3},
  "network": {"type": "lattice_conv", "channels": 4, "depth": 1, "prior": "belief_propagation"},
  "family": {"type": "mam", "label_sweeps": 4, "chain": {"count": 64, "burn_in": 20}},
  "training": {"steps": 40, "batch_size": 32, "log_every_steps": 10,
               "checkpoint": {"every_steps": 10}},
  "evaluation": {"rows": 50, "samples": 4, "metrics": ["log_z", "ess"]}})";

/// A trained run, made once.
const fs::path& tiny_run() {
  static test::TempDir folder;
  static const fs::path run = folder / "run";
  if (!fs::exists(run)) {
    write_atomically(folder / "tiny.json", kTiny);
    const auto result = marginalia_(
        fmt::format("run '{}' --out '{}'", (folder / "tiny.json").string(), run.string()));
    REQUIRE_MESSAGE(result.code == 0, result.err);
  }
  return run;
}

}  // namespace

TEST_CASE("a run writes what was promised, and answers questions") {
  const auto& run = tiny_run();
  for (const auto* file : {"run.json", "metrics.jsonl", "evaluation.json", "report.html", "log.txt",
                           "samples/samples.jsonl", "checkpoints/last.safetensors"})
    CHECK(fs::exists(run / file));
  CHECK(Json::parse(read_text(run / "run.json")).at("status") == "finished");

  const std::string question = R"({"x": [0,1,null,null,1,0,null,null,1], "id": 7})"
                               "\n"
                               R"({"x": [null,null,null,null,null,null,null,null,null]})"
                               "\n"
                               R"({"x": [0,1,null,null,null,null,null,null,null], "given": )"
                               R"([0,null,null,null,null,null,null,null,null]})"
                               "\n";
  const auto ask = [&](const std::string& more) {
    const auto result =
        marginalia_(fmt::format("marginals '{}' --input - {}", run.string(), more), question);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    std::vector<Json> lines;
    std::stringstream all(result.out);
    for (std::string line; std::getline(all, line);)
      lines.push_back(Json::parse(line));
    REQUIRE(lines.size() == 3);
    return lines;
  };
  const auto exact = ask("--estimator exact");
  CHECK(exact[0].at("id") == 7);
  CHECK(exact[1].at("log_marginal").get<double>() == doctest::Approx(0).epsilon(1e-9));
  for (const auto* estimator : {"one_pass", "chain", "ensemble"}) {
    CAPTURE(estimator);
    const auto lines = ask(fmt::format("--estimator {}", estimator));
    CHECK(lines[0].at("estimator") == estimator);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(std::abs(lines[i].at("log_marginal").get<double>() -
                     exact[i].at("log_marginal").get<double>()) < 0.1);
  }
  CHECK(ask("")[0].at("estimator") == "one_pass");

  const auto conditionals = marginalia_(fmt::format("conditionals '{}' --input -", run.string()),
                                        R"({"x": [0,1,null,0,1,0,1,0,1]})");
  REQUIRE(conditionals.code == 0);
  const auto p = Json::parse(conditionals.out).at("probabilities");
  CHECK(p[0].is_null());
  CHECK(p[2][0].get<double>() + p[2][1].get<double>() == doctest::Approx(1));

  const auto mistaken = marginalia_(
      fmt::format("conditionals '{}' --input -", run.string()),
      R"({"x": [0,1,null,0,1,0,1,0,1], "given": [0,null,null,null,null,null,null,null,null]})");
  CHECK(mistaken.code == 2);
  CHECK(has(mistaken.err, "stdin:1: conditionals are given all of \"x\""));

  const auto samples =
      marginalia_(fmt::format("sample '{}' --count 2 --given -", run.string()),
                  R"({"x": [0,1,null,null,null,null,null,null,null], "id": "first", "log_prob": 7})"
                  "\n"
                  R"({"x": [0,1,0,0,0,0,null,null,null], "id": "second"})");
  REQUIRE(samples.code == 0);
  std::stringstream all(samples.out);
  int count = 0;
  for (std::string line; std::getline(all, line); ++count) {
    const auto sample = Json::parse(line);
    CHECK(sample.at("x")[0] == 0);
    CHECK(sample.at("x")[1] == 1);
    CHECK(sample.at("given")[2].is_null() == (count < 2));
    CHECK(sample.at("id") == (count < 2 ? "first" : "second"));
    CHECK(sample.at("log_prob").get<double>() < 0);
  }
  CHECK(count == 4);
  CHECK(marginalia_(fmt::format("resume '{}'", run.string())).code == 0);
  CHECK(has(
      marginalia_(fmt::format("runs '{}' --where energy.side=3", run.parent_path().string())).out,
      "finished"));
  CHECK(marginalia_(fmt::format("evaluate '{}' --metrics ess", run.string())).code == 0);
}

TEST_CASE("questions may be asked in text, whole or at a place") {
  const auto& run = tiny_run();
  const auto ask = [&](const std::string& verb, const std::string& line) {
    return marginalia_(fmt::format("{} '{}' {}", verb.substr(0, verb.find(' ')), run.string(),
                                   verb.substr(verb.find(' ') + 1)),
                       line + "\n");
  };
  const auto as_list = ask("marginals --input -", R"({"x": [0,1,null,null,1,0,null,null,1]})");
  const auto as_text = ask("marginals --input -", R"({"text": "01?/?10/??1"})");
  REQUIRE_MESSAGE(as_text.code == 0, as_text.err);
  CHECK(Json::parse(as_text.out).at("log_marginal") == Json::parse(as_list.out).at("log_marginal"));
  CHECK(Json::parse(as_text.out).at("text") == "01?/?10/??1");
  const auto list_given =
      ask("marginals --input -", R"({"x": [0,1,null,null,null,null,null,null,null], )"
                                 R"("given": [0,null,null,null,null,null,null,null,null]})");
  const auto text_given = ask("marginals --input -", R"({"x": "01???????", "given": {"text": "0", )"
                                                     R"("at": 0}})");
  CHECK(text_given.out == list_given.out);
  const auto placed = ask("sample --count 1 --given -", R"({"text": "11", "at": 4})");
  REQUIRE_MESSAGE(placed.code == 0, placed.err);
  CHECK(Json::parse(placed.out).at("given").dump() == "[null,null,null,null,1,1,null,null,null]");
  CHECK(Json::parse(placed.out).at("x")[4] == 1);
  const auto wrong = ask("conditionals --input -", R"({"text": "01?/?12/??1"})");
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "stdin:1: character 7: \"2\" is no letter; there is: 0 1 ?"));
}

TEST_CASE("doctor says which optional libraries there are") {
  const auto text = marginalia_("doctor").out;
  CHECK(has(text, "RDKit        "));
  CHECK((has(text, "RDKit        20") || has(text, "librdkit-dev")));
}

TEST_CASE("doctor times a product in each precision, and says what \"auto\" is and why") {
  const auto result =
      test::run_shell(fmt::format("MARGINALIA_MAX_CPU_ISA=avx2 '{}' doctor", MARGINALIA_PROGRAM));
  CHECK(has(result.out, " GFLOP/s in float32, "));
  CHECK(has(result.out, " in bfloat16, "));
  CHECK(has(result.out, " in float64"));
  CHECK(has(result.out, "precision    auto trains in float32 on cpu: bfloat16 is not multiplied in "
                        "hardware, "));
}

TEST_CASE("bfloat16 without the hardware is done, with one warning; with limits of oneDNN, too") {
  const test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  for (const std::string limit :
       {"MARGINALIA_MAX_CPU_ISA=avx2", "ONEDNN_MAX_CPU_ISA=AVX2", "ONEDNN_MAX_CPU_ISA=SSE41"}) {
    CAPTURE(limit);
    const auto run = [&](const std::string& more) {
      return test::run_shell(fmt::format("{} '{}' run '{}' --out '{}' --force training.steps=2 {}",
                                         limit, MARGINALIA_PROGRAM, (folder / "tiny.json").string(),
                                         (folder / "run").string(), more));
    };
    const auto coarse = run("--precision bfloat16 evaluation.precision=bfloat16");
    CAPTURE(coarse.err);
    CHECK(coarse.code == 0);
    const std::string warning = "marginalia: warning: bfloat16 is not multiplied in hardware here";
    CHECK(has(coarse.err, warning));
    CHECK(coarse.err.find(warning) == coarse.err.rfind(warning));
    CHECK(has(coarse.err, " times as long as in float32, as just measured"));
    const auto record = Json::parse(read_text(folder / "run/run.json"));
    CHECK(record.at("precision").at("training").at("used") == "bfloat16");
    CHECK(record.at("precision").at("training").at("in_hardware") == false);
    CHECK(record.at("spec").at("training").at("precision") == "bfloat16");

    const auto automatic = run("");
    CHECK(automatic.code == 0);
    CHECK_FALSE(has(automatic.err, "warning"));
    CHECK(
        Json::parse(read_text(folder / "run/run.json")).at("precision").at("training").at("used") ==
        "float32");
  }
}

TEST_CASE(
    "a run resumes in its precision; one that had the hardware is not left to slow products") {
  const test::TempDir folder;
  const auto run = folder / "run";
  fs::copy(tiny_run(), run, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const auto interrupted = [&](bool had_hardware) {
    auto record = Json::parse(read_text(run / "run.json"));
    record["status"] = "interrupted";
    record["spec"]["training"]["steps"] = record["spec"]["training"]["steps"].get<int>() + 2;
    record["spec"]["training"]["precision"] = "bfloat16";
    record["precision"]["training"] = {
        {"asked", "auto"}, {"used", "bfloat16"}, {"why", ""}, {"in_hardware", had_hardware}};
    write_atomically(run / "run.json", record.dump());
  };
  const auto resume = [&](const std::string& more) {
    return test::run_shell(fmt::format("MARGINALIA_MAX_CPU_ISA=avx2 '{}' resume '{}' {}",
                                       MARGINALIA_PROGRAM, run.string(), more));
  };
  const auto used = [&] {
    const auto record = Json::parse(read_text(run / "run.json"));
    CHECK(record.at("spec_sha256") == spec_hash(record.at("spec")));
    return record.at("precision").at("training").at("used").get<std::string>();
  };
  interrupted(true);
  const auto refused = resume("");
  CHECK(refused.code == 2);
  CHECK(
      has(refused.err, "was begun where bfloat16 is multiplied in hardware, and here it is not: "));
  CHECK(has(refused.err, "go on with --precision float32, or with --precision bfloat16"));
  CHECK(Json::parse(read_text(run / "run.json")).at("status") == "interrupted");
  const auto slow = resume("--precision bfloat16");
  CHECK(slow.code == 0);
  CHECK(has(slow.err, "warning: bfloat16"));
  CHECK(used() == "bfloat16");
  interrupted(false);  // as it was begun: no refusal
  CHECK(resume("").code == 0);
  for (const std::string other : {"float32", "float64", "float32"}) {
    interrupted(true);
    const auto result = resume("--precision " + other);
    CAPTURE(result.err);
    CHECK(result.code == 0);
    CHECK(used() == other);
  }
  auto old = Json::parse(read_text(run / "run.json"));  // before precision was recorded
  old.erase("precision");
  old["status"] = "interrupted";
  write_atomically(run / "run.json", old.dump());
  CHECK(resume("").code == 0);
  const auto wrong = resume("--precision float16");
  CHECK(wrong.code == 2);
}

TEST_CASE("exact answers without training, and refuses what is too large") {
  test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto spec = (folder / "tiny.json").string();
  const auto result = marginalia_(fmt::format("exact '{}'", spec));
  REQUIRE(result.code == 0);
  const auto json = Json::parse(result.out);
  CHECK(json.at("single_marginals").size() == 9);
  const auto wide = marginalia_(fmt::format("exact '{}' energy.side=13", spec));
  REQUIRE(wide.code == 0);  // of a wide torus log Z alone is known, and how well
  CHECK(Json::parse(wide.out).at("method") == "extrapolated from strips of width 11 and 12");
  CHECK(Json::parse(wide.out).at("error").get<double>() < 1e-3);
  const auto refused =
      marginalia_(fmt::format("exact '{}' energy.side=21 energy.boundary=open", spec));
  CHECK(refused.code == 2);
  CHECK(refused.out.empty());
  CHECK(has(refused.err, "no exact answer"));

  // each factor can be met, both together by no state
  write_atomically(folder / "none.uai",
                   "MARKOV\n2\n2 2\n2\n2 0 1\n2 0 1\n4\n1 0 0 1\n4\n0 1 1 0\n");
  write_atomically(folder / "none.json",
                   R"({"marginalia": 1, "energy": {"type": "factor_graph", "file": "none.uai"}})");
  const auto none = marginalia_(fmt::format("exact '{}'", (folder / "none.json").string()));
  CHECK(none.code == 2);
  CHECK(none.out.empty());
  CHECK(has(none.err, "every state is forbidden"));
}

TEST_CASE("wrong requests are refused before any work, with exit code 2") {
  test::TempDir folder;
  const auto spec = folder / "tiny.json", out = folder / "out";
  write_atomically(spec, kTiny);
  const auto refuse = [&](const std::string& settings, const std::string& message) {
    const auto result =
        marginalia_(fmt::format("run '{}' --out '{}' {}", spec.string(), out.string(), settings));
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(has(result.err, message));
    CHECK_FALSE(fs::exists(out));
  };
  refuse("energy.couplng=0.1", "did you mean \"coupling\"?");
  refuse("energy.type=isng", "no energy is called \"isng\"; did you mean \"ising\"?");
  refuse("training.batch_size=0", "\"batch_size\" must be at least 1, not 0");
  refuse("training.optimizer.learning_rte=1", "did you mean \"optimizer.learning_rate\"?");
  refuse("network=null", "needs a \"network\"");
  refuse("energy.couplings=nowhere.txt", "nowhere.txt");
  refuse("nonsense", "a setting is key=value");

  write_atomically(spec, "{\"marginalia\": 1,");
  refuse("", "not JSON");
  write_atomically(spec, "[]");
  refuse("", "a spec is a JSON object");
  const auto missing = marginalia_("check '" + (folder / "none.json").string() + "'");
  CHECK(missing.code == 2);
  CHECK(has(missing.err, "cannot be read"));
  CHECK(marginalia_("rn").code == 2);
  CHECK(has(marginalia_("rn").err, "did you mean \"run\"?"));
  CHECK(marginalia_("run").code == 2);
}

TEST_CASE("a question of the wrong shape is refused by line") {
  const auto run = tiny_run().string();
  const auto refuse = [&](const std::string& line, const std::string& message) {
    const auto result = marginalia_(fmt::format("marginals '{}' --input -", run), line + "\n");
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, message));
  };
  refuse(R"({"x": [0, 1]})", "stdin:1: \"x\" has 2 values, the model has 9 variables");
  refuse(R"({"x": [0,1,2,0,0,0,0,0,0]})", "\"x\"[2] must be null or an integer from 0 to 1, not 2");
  refuse(R"({"y": []})", "stdin:1: needs \"x\"");
  refuse("[1, 2", "stdin:1: must be a JSON object");
  const auto unknown = marginalia_(fmt::format("marginals '{}' --input - --estimator one_pas", run),
                                   R"({"x": [0,1,0,0,0,0,0,0,0]})");
  CHECK(unknown.code == 2);
  CHECK(has(unknown.err, "did you mean \"one_pass\"?"));
  CHECK(marginalia_(fmt::format("marginals '{}' --input '{}/none'", run, run)).code == 2);
}

TEST_CASE("an existing run directory is refused, and nothing in it changes") {
  const auto& run = tiny_run();
  test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto before = read_text(run / "evaluation.json");
  const auto result = marginalia_(
      fmt::format("run '{}' --out '{}'", (folder / "tiny.json").string(), run.string()));
  CHECK(result.code == 2);
  CHECK(has(result.err, "exists already"));
  CHECK(read_text(run / "evaluation.json") == before);
}

TEST_CASE("a signal checkpoints and stops with 130; resuming finishes, past a torn checkpoint") {
  test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto run = folder / "run";
  // Ctrl-C after the third checkpoint, however long that takes.
  const auto code = test::run_until(
      fmt::format("'{}' run '{}' --out '{}' training.steps=1000000 training.checkpoint.keep=3 "
                  "2>/dev/null >/dev/null",
                  MARGINALIA_PROGRAM, (folder / "tiny.json").string(), run.string()),
      fmt::format("[ \"$(ls '{}' 2>/dev/null | grep -c step_)\" -ge 3 ]",
                  (run / "checkpoints").string()),
      "INT");
  CHECK(code == 130);
  CHECK(Json::parse(read_text(run / "run.json")).at("status") == "interrupted");
  const auto newest = run / "checkpoints" / fs::read_symlink(run / "checkpoints/last.safetensors");
  fs::resize_file(newest, fs::file_size(newest) - 5);  // torn
  auto record = Json::parse(read_text(run / "run.json"));
  const auto steps = record.at("steps").get<std::int64_t>() + 20;
  record["spec"]["training"]["steps"] = steps;
  write_atomically(run / "run.json", record.dump());
  const auto resumed = marginalia_(fmt::format("resume '{}'", run.string()));
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(has(resumed.err, "checkpoint passed over"));
  CHECK(Json::parse(read_text(run / "run.json")).at("status") == "finished");
}

TEST_CASE("a signal while a run is measured stops it at once; resuming measures it") {
  test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto run = folder / "run";
  const auto errors = (folder / "err").string();
  const auto code = test::run_until(
      fmt::format("'{}' run '{}' --out '{}' evaluation.rows=2000000 >/dev/null 2>'{}'",
                  MARGINALIA_PROGRAM, (folder / "tiny.json").string(), run.string(), errors),
      fmt::format("grep -q evaluating '{}'", errors), "TERM");
  CHECK(code == 130);
  CHECK(has(read_text(folder / "err"), "marginalia resume measures again"));
  CHECK_FALSE(fs::exists(run / "evaluation.json"));
  auto record = Json::parse(read_text(run / "run.json"));
  record["spec"]["evaluation"]["rows"] = 50;
  write_atomically(run / "run.json", record.dump());
  const auto resumed = marginalia_(fmt::format("resume '{}'", run.string()));
  CHECK_MESSAGE(resumed.code == 0, resumed.err);
  CHECK(fs::exists(run / "evaluation.json"));
}

TEST_CASE("a reward's file that changed since training is named whenever its run is asked") {
  test::TempDir folder;
  const auto reward = folder / "reward.sh";
  write_atomically(reward, "while read x; do echo 0; done\n");
  write_atomically(folder / "reward.json", R"({"marginalia": 1, "seed": 1,
    "energy": {"type": "command", "command": ["sh", "reward.sh"],
               "space": {"variables": 3, "levels": 2}},
    "network": {"type": "mlp", "hidden": 8, "layers": 1},
    "family": {"type": "mam", "states": "model"},
    "training": {"steps": 2, "batch_size": 4},
    "evaluation": {"rows": 4, "samples": 2, "metrics": ["log_z"]}})");
  const auto run = (folder / "run").string();
  const auto warning = "marginalia: warning: " + reward.string() + " (sha256 ";
  const auto first =
      marginalia_(fmt::format("run '{}' --out '{}'", (folder / "reward.json").string(), run));
  REQUIRE_MESSAGE(first.code == 0, first.err);
  const auto ask = [&](const std::string& verb, const std::string& more) {
    auto result = marginalia_(fmt::format("{} '{}' {}", verb, run, more), R"({"x": [0,null,1]})");
    CHECK_MESSAGE(result.code == 0, result.err);
    return result;
  };
  CHECK_FALSE(has(ask("marginals", "--input -").err, "warning"));
  write_atomically(reward, "# said in other words\nwhile read x; do echo 0; done\n");
  const auto changed = ask("marginals", "--input -");
  CHECK_MESSAGE(has(changed.err, warning), changed.err);
  CHECK(has(changed.err, " now): changed since training read it\n"));
  CHECK_FALSE(has(changed.out, "warning"));
  CHECK(has(ask("sample", "--count 1").err, warning));
  CHECK(has(ask("evaluate", "--metrics log_z").err, warning));
  auto record = Json::parse(read_text(folder / "run/run.json"));
  record["status"] = "interrupted";
  write_atomically(folder / "run/run.json", record.dump());
  CHECK(has(ask("resume", "").err, warning));
  CHECK(has(read_text(folder / "run/log.txt"), "changed since training began: " + reward.string()));
  CHECK(has(ask("marginals", "--input -").err, warning));  // still not what training began with
  write_atomically(reward, "while read x; do echo 0; done\n");
  CHECK_FALSE(has(ask("marginals", "--input -").err, "warning"));
}

TEST_CASE("two specs of one name in two folders leave two runs") {
  test::TempDir folder;
  for (const auto* name : {"lattice", "torus"}) {
    fs::create_directory(folder / name);
    write_atomically(folder / name / "tiny.json", kTiny);
  }
  const auto run = [&](const std::string& from, const std::string& spec) {
    const auto result = test::run_shell(
        fmt::format("cd '{}' && '{}' run {} training.steps=1", from, MARGINALIA_PROGRAM, spec));
    CHECK_MESSAGE(result.code == 0, result.err);
    return result.err;
  };
  const auto root = folder.path().string();
  CHECK(has(run(root, "lattice/tiny.json"), "lattice/tiny.json -> runs/lattice-tiny "));
  CHECK(has(run(root, "torus/tiny.json"), "torus/tiny.json -> runs/torus-tiny "));
  CHECK(has(run(root + "/torus", "tiny.json"), "tiny.json -> runs/tiny "));
}

TEST_CASE("an altered checkpoint is refused when asked of") {
  test::TempDir folder;
  fs::copy(tiny_run(), folder / "run",
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const auto last = folder / "run/checkpoints" /
                    fs::read_symlink(folder / "run/checkpoints/last.safetensors").string();
  std::fstream file(last, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-100, std::ios::end);
  file.put('\x5a');
  file.close();
  const auto result =
      marginalia_(fmt::format("marginals '{}' --input -", (folder / "run").string()),
                  R"({"x": [0,1,0,0,0,0,0,0,0]})");
  CHECK(result.code == 1);
  CHECK(has(result.err, "altered"));
}

TEST_CASE("a full disk stops the run with its reason, and what was written before stays whole") {
  test::TempDir folder;
  const auto disk = folder / "disk";
  fs::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=160k") != 0) {
    MESSAGE("not run: mounting a small tmpfs needs root");
    return;
  }
  write_atomically(folder / "tiny.json", kTiny);
  const auto run = disk / "run";
  const auto result = marginalia_(
      fmt::format("run '{}' --out '{}' training.steps=400 training.checkpoint.every_steps=1 "
                  "training.checkpoint.keep=1000",
                  (folder / "tiny.json").string(), run.string()));
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(has(result.err, "No space left on device"));
  int whole = 0;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
    if (!entry.is_symlink()) {
      const auto asked = marginalia_(fmt::format("marginals '{}' --input - --checkpoint '{}'",
                                                 run.string(), entry.path().string()),
                                     R"({"x": [0,1,0,0,0,0,0,0,0]})");
      CHECK_MESSAGE(asked.code == 0, asked.err);
      if (++whole == 3) break;
    }
  CHECK(whole > 0);
  umount(disk.c_str());
}

TEST_CASE("every spec in experiments is valid") {
  for (const auto& entry : fs::recursive_directory_iterator(MARGINALIA_EXPERIMENTS)) {
    if (entry.path().extension() != ".json") continue;
    const auto result = marginalia_(fmt::format("check '{}'", entry.path().string()));
    CAPTURE(entry.path().filename().string());
    CHECK_MESSAGE(result.code == 0, result.err);
  }
}

TEST_CASE("specs for a CPU run from end to end, cut short, on tiny data") {
  const test::TempDir folder;
  const auto run = [&](const std::string& spec, const std::string& name,
                       const std::string& settings) {
    CAPTURE(spec);
    const auto result = marginalia_(fmt::format(
        "run '{}/{}' --out '{}' --data '{}' training.steps=2 training.batch_size=4 "
        "training.checkpoint.every_steps=0 evaluation.every_steps=2 evaluation.every_rows=2 "
        "evaluation.rows=2 evaluation.samples=2 {}",
        MARGINALIA_EXPERIMENTS, spec, (folder / name).string(), MARGINALIA_TEST_DATA, settings));
    CHECK_MESSAGE(result.code == 0, result.err);
    CHECK(fs::exists(folder / name / "evaluation.json"));
  };
  const std::string few =
      R"('evaluation.metrics=[{"type":"nll","estimators":["masked","one_pass"]}]' )";
  run("ising/smoke.json", "smoke", "");
  run("table/independent.json", "independent", "dataset.name=tiny");
  run("table/chow_liu.json", "chow_liu", "dataset.name=tiny");
  run("table/nltcs.json", "nltcs", "dataset.name=tiny");
  run("table/nltcs_mam.json", "nltcs_mam",
      fmt::format("dataset.name=tiny training.init='{}'", (folder / "nltcs").string()));
  const std::string picture = "dataset.binarisation=threshold dataset.valid_rows=2 ";
  const auto early = marginalia_(fmt::format(
      "run '{}/table/nltcs_mam.json' --out '{}' --data '{}' dataset.name=tiny training.init=none",
      MARGINALIA_EXPERIMENTS, (folder / "early").string(), MARGINALIA_TEST_DATA));
  CHECK(early.code == 2);
  CHECK(has(early.err, "\"init\": none is neither a run nor a checkpoint"));
  CHECK_FALSE(fs::exists(folder / "early"));
  run("mnist/cpu.json", "mnist", picture + few + "network.multipliers=[1]");
  run("mnist/marginals_cpu.json", "marginals",
      picture + few + fmt::format("training.init='{}'", (folder / "mnist").string()) +
          " family.chain.count=4 family.chain.block=2 network.conditional.multipliers=[1]"
          " network.marginal.multipliers=[1] network.causal.layers=1");
  run("text8/cpu.json", "text8",
      few + "dataset.file=text8/tiny.txt dataset.split=[60,20,20] dataset.length=10");
  run("moses/zinc_cpu.json", "zinc",
      few +
          R"('dataset={"type":"molecules","file":"molecules/tiny.smi","fractions":[0.5,0.25,0.25]}')");
}

TEST_CASE("the reference pages and the schema are those that the program writes") {
  test::TempDir folder;
  REQUIRE(marginalia_(fmt::format("describe --all --write '{}'", folder.path().string())).code ==
          0);
  const fs::path docs(MARGINALIA_DOCS);
  CHECK(read_text(folder / "spec.schema.json") == read_text(docs / "spec.schema.json"));
  for (const auto& entry : fs::directory_iterator(folder / "reference")) {
    const auto name = entry.path().filename();
    CAPTURE(name.string());
    CHECK(read_text(entry.path()) == read_text(docs / "reference" / name));
  }
}
