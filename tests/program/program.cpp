/// The program as a user meets it: verbs, streams, exit codes.

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/experiment/experiment.h"
#include "host/study/read_study.h"
#include "records/runs/run_directory.h"
#include "records/study/study.h"
#include "tiny_run.h"

using namespace marginalia;
using test::has, test::kTiny, test::run_marginalia, test::Result, test::tiny_run;
namespace fs = std::filesystem;

TEST_CASE("doctor says which optional libraries there are") {
  const auto text = run_marginalia("doctor").out;
  CHECK(has(text, "RDKit        "));
  CHECK((has(text, "RDKit        20") || has(text, "librdkit-dev")));
  CHECK((has(text, "ranks        by c10d with Gloo") || has(text, "libgloo-dev")));
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
    const auto flags = read_text("/proc/cpuinfo");
    const auto processor = record.at("processor").get<std::string>();
    CHECK(processor.starts_with("AVX-512") == has(flags, " avx512f "));
    if (has(flags, " amx_bf16 ")) CHECK(processor.ends_with(", limited by " + limit));

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

TEST_CASE("wrong requests are refused before any work, with exit code 2") {
  test::TempDir folder;
  const auto spec = folder / "tiny.json", out = folder / "out";
  write_atomically(spec, kTiny);
  const auto refuse = [&](const std::string& settings, const std::string& message) {
    const auto result = run_marginalia(
        fmt::format("run '{}' --out '{}' {}", spec.string(), out.string(), settings));
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
  const auto missing = run_marginalia("check '" + (folder / "none.json").string() + "'");
  CHECK(missing.code == 2);
  CHECK(has(missing.err, "cannot be read"));
  CHECK(run_marginalia("rn").code == 2);
  CHECK(has(run_marginalia("rn").err, "did you mean \"run\"?"));
  CHECK(run_marginalia("run").code == 2);
}

/// Throws where `marginalia check` would refuse a spec or a study.
static void check_here(const fs::path& file) {
  const auto data = default_data_directory();
  if (is_study(file)) {
    read_study(file, data, test::loaded_registry(), INT64_MAX);
    return;
  }
  Faults faults;
  Experiment::check(Spec::from_file(file, data), test::loaded_registry(), faults);
  faults.throw_if_any();
}

TEST_CASE("every spec in experiments is valid") {
  for (const auto& entry : fs::recursive_directory_iterator(MARGINALIA_EXPERIMENTS)) {
    if (entry.path().extension() != ".json") continue;
    CAPTURE(entry.path().filename().string());
    // As `marginalia check` does, in this process: starting it for each costs half a second.
    CHECK(test::refusal([&] { check_here(entry.path()); }) == "accepted");
  }
}

TEST_CASE("specs for a CPU run from end to end, cut short, on tiny data") {
  const test::TempDir folder;
  const auto run = [&](const std::string& spec, const std::string& name,
                       const std::string& settings) {
    CAPTURE(spec);
    const auto result = run_marginalia(fmt::format(
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
  const auto early = run_marginalia(fmt::format(
      "run '{}/table/nltcs_mam.json' --out '{}' --data '{}' dataset.name=tiny training.init=none",
      MARGINALIA_EXPERIMENTS, (folder / "early").string(), MARGINALIA_TEST_DATA));
  CHECK(early.code == 2);
  CHECK(has(early.err, "\"init\": none is neither a run nor a checkpoint"));
  CHECK_FALSE(fs::exists(folder / "early"));
  const auto torn = folder / "torn.safetensors";
  write_atomically(torn, "no tensors here");
  const auto unread = run_marginalia(fmt::format(
      "run '{}/table/nltcs_mam.json' --out '{}' --data '{}' dataset.name=tiny training.init='{}'",
      MARGINALIA_EXPERIMENTS, (folder / "early").string(), MARGINALIA_TEST_DATA, torn.string()));
  CHECK(unread.code == 2);
  CHECK(has(unread.err, "torn.safetensors: not a safetensors file"));
  CHECK_FALSE(fs::exists(folder / "early"));
  run("mnist/cpu.json", "mnist", picture + few + "network.multipliers=[1]");
  run("mnist/marginals_cpu.json", "marginals",
      picture + few + fmt::format("training.init='{}'", (folder / "mnist").string()) +
          " family.states.on_policy.count=4 family.states.on_policy.block=2 "
          "network.conditional.multipliers=[1]"
          " network.marginal.multipliers=[1] network.causal.layers=1");
  run("text8/cpu.json", "text8",
      few + "dataset.file=text8/tiny.txt dataset.split=[60,20,20] dataset.length=10");
  run("moses/zinc_cpu.json", "zinc",
      few +
          R"('dataset={"type":"molecules","file":"molecules/tiny.smi","fractions":[0.5,0.25,0.25]}')");
}

TEST_CASE("the reference pages and the schema are those that the program writes") {
  test::TempDir folder;
  REQUIRE(run_marginalia(fmt::format("describe --all --write '{}'", folder.path().string())).code ==
          0);
  const fs::path docs(MARGINALIA_DOCS);
  CHECK(read_text(folder / "spec.schema.json") == read_text(docs / "spec.schema.json"));
  for (const auto& entry : fs::directory_iterator(folder / "reference")) {
    const auto name = entry.path().filename();
    CAPTURE(name.string());
    CHECK(read_text(entry.path()) == read_text(docs / "reference" / name));
  }
}
