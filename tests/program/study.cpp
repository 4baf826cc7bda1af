/// Studies as a user meets them: what is run, skipped, resumed and named when it fails.
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/files.h>
#include <marginalia/spec.h>

#include "small_study.h"

using namespace marginalia;
using test::call, test::count, test::has, test::kManifest, test::read_record;
namespace fs = std::filesystem;

namespace {

/// A finished study, made once.
const fs::path& finished_study() {
  static const test::TempDir folder;
  static const fs::path study = folder / "out";
  if (!fs::exists(study)) {
    write_atomically(folder / "s.json", kManifest);
    const auto result = call(folder.path(), "study s.json --out out --jobs 2 --threads 2");
    REQUIRE_MESSAGE(result.code == 0, result.err);
    CHECK(has(result.err, "[1/4] full-seed0: started, 1 thread\n"));  // its share of two
    CHECK(has(result.err, "(4 finished, 0 failed)"));
    CHECK(has(result.out, "\nfull "));  // tables as they are read; those in Markdown are in a file
    CHECK_FALSE(has(result.out, "|"));
    CHECK(has(read_text(study / "comparison.md"), "| full | "));
  }
  return study;
}

}  // namespace

TEST_CASE("a study writes its runs and their comparison, and does nothing twice") {
  const auto& study = finished_study();
  for (const auto* file : {"study.json", "comparison.json", "comparison.md", "comparison.csv",
                           "comparison.tex", "report.html", "figures/size-marginal_error.svg",
                           "runs/short-seed1/report.html", "logs/short-seed1.txt"})
    CHECK_MESSAGE(fs::exists(study / file), file);
  const auto comparison = Json::parse(read_text(study / "comparison.json"));
  CHECK(comparison.at("notes").empty());
  for (const auto& e : comparison.at("experiments")) {
    const auto run = study / e.at("run").get<std::string>();
    CHECK(e.at("spec_sha256") == read_record(run).at("spec_sha256"));
    CHECK(e.at("figures").at("marginal_error/one_pass").at("value") ==
          Json::parse(read_text(run / "evaluation.json"))
              .at("metrics")
              .at("marginal_error")
              .at("one_pass")
              .at("value"));
    CHECK(read_record(run).at("threads") == 1);
  }
  const auto started = read_record(study / "runs/full-seed0").at("started");
  const auto again = call(study.parent_path(), "study s.json --out out");
  CHECK(again.code == 0);
  CHECK(has(again.err, "0 to run or resume, 4 finished"));
  CHECK(read_record(study / "runs/full-seed0").at("started") == started);

  const auto plan = call(study.parent_path(), "study s.json --out out --dry-run --only 'full*'");
  CHECK(plan.code == 0);
  CHECK(count(plan.out, "skip: finished") == 2);
  CHECK(call(study.parent_path(), "report out").out == "out/report.html\n");
}

TEST_CASE("a dry run writes nothing, and names what would be run") {
  const test::TempDir folder;
  write_atomically(folder / "s.json", kManifest);
  const auto plan = call(folder.path(), "study s.json --dry-run --only short,full-seed1");
  CHECK(plan.code == 0);
  CHECK(count(plan.out, "\n") == 3);
  CHECK_FALSE(has(plan.out, "full-seed0"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
  const auto wrong = call(folder.path(), "study s.json --dry-run --only shrt");
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "no experiment or variant is called \"shrt\""));
}

TEST_CASE("a study keeps the precision it was begun in, wherever it is started again") {
  const test::TempDir folder;
  write_atomically(folder / "s.json", kManifest);
  const std::string lesser = "MARGINALIA_MAX_CPU_ISA=avx2";
  const auto precisions = [&](const fs::path& out) {
    const auto record = Json::parse(read_text(out / "study.json"));
    std::set<std::string> all{record.at("precision").get<std::string>()};
    for (const auto& e : record.at("experiments"))
      all.insert(e.at("spec").at("training").at("precision").get<std::string>());
    return fmt::format("{}", fmt::join(all, " "));
  };
  const auto first =
      call(folder.path(), "study s.json --out out --only full-seed0 --precision bfloat16");
  CAPTURE(first.err);
  CHECK(first.code == 0);
  CHECK(precisions(folder / "out") == "bfloat16");
  CHECK(read_record(folder / "out/runs/full-seed0").at("spec").at("training").at("precision") ==
        "bfloat16");
  const auto again = call(folder.path(), "study s.json --out out", lesser);
  CHECK(again.code == 0);
  CHECK(has(again.err, "3 to run or resume, 1 finished"));
  CHECK(precisions(folder / "out") == "bfloat16");
  CHECK(has(read_text(folder / "out/logs/short-seed0.txt"), "warning: bfloat16 is not multiplied"));
  const auto other = call(folder.path(), "study s.json --out out --precision float32");
  CHECK(other.code == 2);
  CHECK(has(other.err, "out: was begun in bfloat16, and holds it; leave --precision out"));

  CHECK(call(folder.path(), "study s.json --out here --only full-seed0", lesser).code == 0);
  CHECK(precisions(folder / "here") == "float32");
  auto record = Json::parse(read_text(folder / "here/study.json"));
  record.erase("precision");  // as one written before
  write_atomically(folder / "here/study.json", record.dump());
  const auto older = call(folder.path(), "study s.json --out here --dry-run");
  CHECK(has(older.err, "1 finished"));
}

TEST_CASE("bad manifests are refused before any work, with exit code 2") {
  const test::TempDir folder;
  const auto refuse = [&](const std::string& manifest, const std::string& message) {
    write_atomically(folder / "s.json", manifest);
    const auto result = call(folder.path(), "study s.json");
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, message));
    CHECK_FALSE(fs::exists(folder / "runs"));
  };
  refuse(R"({"marginalia_study": 1, "base": "none.json"})", "none.json: cannot be read");
  const auto with = [](const std::string& more) {
    auto text = std::string(kManifest);
    return text.replace(text.rfind('}'), 1, ", " + more + "}");
  };
  refuse(with(R"("grid": {"energy.sid": [3, 4]})"), "did you mean \"side\"?");
  refuse(with(R"("grid": {"energy.side": []})"), "\"energy.side\" must be a list of values");
  refuse(with(R"("experiments": [{"name": "twin", "variant": "full", "seed": 1}])"),
         "full-seed1 and twin are one experiment");
  refuse(with(R"("zip": {"energy.coupling": [)" +
              [] {
                std::string list = "0";
                for (int i = 1; i < 300; ++i)
                  list += fmt::format(",{}", i);
                return list;
              }() +
              "]}"),
         "yields 1200 experiments, more than 1000; give --yes");
  refuse(R"({"marginalia": 1})", "needs \"marginalia_study\": 2");
  const auto study = call(folder.path(), "run s.json");
  CHECK(study.code == 2);
  write_atomically(folder / "s.json", kManifest);
  CHECK(has(call(folder.path(), "run s.json").err, "is a study; run it with marginalia study"));
  CHECK(has(call(folder.path(), "check s.json").out, "\"short-seed1\": {"));
}

TEST_CASE("a failure is named at once with its cause, and the others go on") {
  const test::TempDir folder;
  auto manifest = Json::parse(kManifest);
  manifest["variants"] = {
      {"bad", {{"energy", {{"type", "ising"}, {"side", 3}, {"couplings", "nowhere.txt"}}}}},
      {"good", Json::object()}};
  manifest["seeds"] = 1;
  write_atomically(folder / "s.json", manifest.dump());
  const auto result = call(folder.path(), "study s.json --out out");
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(has(result.err, "FAILED bad-seed0 after "));
  CHECK(has(result.err, "exit status 2: "));
  CHECK(has(result.err, "nowhere.txt"));
  CHECK(result.err.find("FAILED bad-seed0") < result.err.find("good-seed0: finished"));
  CHECK(read_record(folder / "out/runs/good-seed0").at("status") == "finished");
  CHECK(has(result.out, "bad-seed0 was not begun (failed: "));
  const auto plan = call(folder.path(), "study s.json --out out --dry-run");
  CHECK(has(plan.out, "run (failed: "));
  CHECK(count(plan.out, "nowhere.txt") == 1);
  const auto report = call(folder.path(), "report out");
  CHECK(report.code == 0);
  CHECK(has(report.err, "bad-seed0 was not begun (failed: "));
}

TEST_CASE("a run changed by hand is left alone and named; the rest of its study goes on") {
  const test::TempDir folder;
  fs::copy(finished_study(), folder / "out",
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  write_atomically(folder / "s.json", kManifest);
  const auto evaluation = folder / "out/runs/full-seed0/evaluation.json";
  auto json = Json::parse(read_text(evaluation));
  json["metrics"]["marginal_error"]["one_pass"]["value"] = 0;
  write_atomically(evaluation, json.dump(2));
  fs::remove_all(folder / "out/runs/short-seed0");
  const auto result = call(folder.path(), "study s.json --out out");
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(has(result.err, "LEFT ALONE full-seed0: evaluation.json is not the one that was measured"));
  CHECK(has(result.err, "short-seed0: finished"));
  CHECK(has(result.out, "full-seed0 is left out"));
  CHECK(call(folder.path(), "evaluate out/runs/full-seed0").code == 0);
  CHECK(call(folder.path(), "study s.json --out out").code == 0);
}

TEST_CASE("a signal is passed on, and the same command goes on from the checkpoints") {
  const test::TempDir folder;
  auto manifest = Json::parse(kManifest);
  manifest["base"]["network"] = {{"type", "lattice_conv"}, {"channels", 4}, {"depth", 1}};
  manifest["base"]["family"] = {{"type", "mam"}, {"chain", {{"count", 64}, {"burn_in", 20}}}};
  manifest["base"]["training"] = {
      {"steps", 1'000'000}, {"batch_size", 16}, {"checkpoint", {{"every_steps", 20}}}};
  manifest.erase("variants");
  write_atomically(folder / "s.json", manifest.dump());
  const auto checkpoints = (folder / "out/runs").string();
  // Ctrl-C once both runs have checkpoints; both get it through the study, once.
  const auto code = test::run_until(
      fmt::format("cd '{}'; '{}' study s.json --out out --jobs 2 --threads 2 > /dev/null 2> err",
                  folder.path().string(), MARGINALIA_PROGRAM),
      fmt::format("ls '{0}'/s-seed0/checkpoints/step_* > /dev/null 2>&1 && "
                  "ls '{0}'/s-seed1/checkpoints/step_* > /dev/null 2>&1",
                  checkpoints),
      "INT");
  CHECK(code == 130);
  CHECK(count(read_text(folder / "err"), "interrupted; the same command goes on with it") == 2);
  std::vector<std::int64_t> steps;
  for (const auto* name : {"s-seed0", "s-seed1"}) {
    const auto record = read_record(folder / "out/runs" / name);
    CHECK(record.at("status") == "interrupted");
    steps.push_back(record.at("steps"));
  }
  const auto plan = call(folder.path(), "study s.json --out out --dry-run");
  CHECK(count(plan.out, "resume (interrupted)") == 2);

  // As many steps more would take hours: the study is cut short where it stands, and goes on there.
  manifest["base"]["training"]["steps"] = std::max(steps[0], steps[1]) + 20;
  write_atomically(folder / "s.json", manifest.dump());
  for (const auto* name : {"s-seed0", "s-seed1"}) {
    auto record = read_record(folder / "out/runs" / name);
    record["spec"]["training"]["steps"] = manifest["base"]["training"]["steps"];
    record.erase("spec_sha256");  // as of a program that did not write it
    write_atomically(folder / "out/runs" / name / "run.json", record.dump());
  }
  const auto resumed = call(folder.path(), "study s.json --out out --jobs 2");
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(count(resumed.err, ": resumed, ") == 2);
  for (const auto* name : {"s-seed0", "s-seed1"})
    CHECK(has(read_text(folder / "out/logs" / (std::string(name) + ".txt")), "resuming"));
}

TEST_CASE("a full disk fails what it fails, by name, and a second call finishes the study") {
  const test::TempDir folder;
  const auto disk = folder / "disk";
  fs::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=420k") != 0) {
    MESSAGE("not run: mounting a small tmpfs needs root");
    return;
  }
  write_atomically(folder / "s.json", kManifest);
  const auto full = call(folder.path(), "study s.json --out disk/out");
  CAPTURE(full.err);
  CHECK(full.code == 1);
  CHECK(has(full.err, "FAILED"));
  CHECK(has(full.err, "No space left on device"));
  CHECK(has(full.err, "full-seed0: finished"));
  mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=8m");
  const auto again = call(folder.path(), "study s.json --out disk/out");
  CAPTURE(again.err);
  CHECK(again.code == 0);
  CHECK(Json::parse(read_text(disk / "out/comparison.json")).at("notes").empty());
  umount(disk.c_str());
}

TEST_CASE("a run and a study are reproduced number by number; what differs is told") {
  const test::TempDir folder;
  fs::copy(finished_study(), folder / "out",
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const auto study = call(folder.path(), "reproduce out --jobs 2");
  CAPTURE(study.err);
  CHECK(study.code == 0);
  CHECK(count(study.err, " 0 differ, 0 missing") == 4);
  CHECK(has(study.out, "short-seed1\tmarginal_error/one_pass\t"));
  CHECK(Json::parse(read_text(folder / "out.again/reproduction.json")).size() == 4);

  const auto run = folder / "out/runs/full-seed1";
  auto evaluation = Json::parse(read_text(run / "evaluation.json"));
  auto& figure = evaluation["metrics"]["marginal_error"]["one_pass"];
  figure["value"] = figure["value"].get<double>() + 10 * figure["stderr"].get<double>();
  const auto text = evaluation.dump(2) + "\n";
  write_atomically(run / "evaluation.json", text);
  const auto altered = call(folder.path(), "reproduce out/runs/full-seed1 --out x");
  CHECK(altered.code == 2);
  CHECK(has(altered.err, "was altered"));
  auto record = read_record(run);
  record["evaluation_sha256"] = sha256_hex(text);
  write_atomically(run / "run.json", record.dump());
  const auto other = call(folder.path(), "reproduce out/runs/full-seed1 --out x");
  CAPTURE(other.err);
  CHECK(other.code == 1);
  CHECK(has(other.err, "1 differ"));
  CHECK(has(other.err, "NOT reproduced"));
}

TEST_CASE("a thousand runs list, filter and sort") {
  const test::TempDir folder;
  const auto& one = finished_study() / "runs/full-seed0";
  auto record = read_record(one);
  const auto evaluation = read_text(one / "evaluation.json");
  for (int i = 0; i < 1000; ++i) {
    const auto run = folder / fmt::format("run{}", i);
    fs::create_directories(run / "checkpoints");
    record["spec"]["seed"] = i;
    record["started"] = fmt::format("2026-01-01T00:{:02}:{:02}Z", i / 60, i % 60);
    std::ofstream(run / "run.json") << record.dump(2);
    auto json = Json::parse(evaluation);
    json["metrics"]["marginal_error"]["one_pass"]["value"] = double(i % 100);
    std::ofstream(run / "evaluation.json") << json.dump(2);
  }
  std::ofstream(folder / "run7" / "run.json") << "{";
  const auto all = call(folder.path(), "runs .");
  const auto some =
      call(folder.path(), "runs . --where 'marginal_error/one_pass>=98' energy.side=3 'seed<500' "
                          "--sort marginal_error/one_pass --reverse --columns seed");
  CHECK(count(all.out, "\n") == 1000);  // and the heads; run7 is told of instead
  CHECK(has(all.err, "run7/run.json: is not a record of a run"));
  CHECK(count(some.out, "\n") == 11);
  CHECK(some.out.find("./run99 ") < some.out.find("./run98 "));
  CHECK(call(folder.path(), "runs . --where nonsense").code == 2);
  const auto json = call(folder.path(), "runs . --where seed=3 --columns seed,energy.type --json");
  CHECK(json.out == "{\"path\":\"./run3\",\"seed\":3,\"energy.type\":\"ising\"}\n");
}
