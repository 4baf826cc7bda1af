/// What is kept of a run when it is stopped, when it fails, and when it is begun again.
#include <sys/mount.h>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "tiny_run.h"

using namespace marginalia;
using test::has, test::kTiny, test::run_marginalia, test::Result, test::tiny_run;
namespace fs = std::filesystem;

TEST_CASE("an existing run directory is refused, and nothing in it changes") {
  const auto& run = tiny_run();
  test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto before = read_text(run / "evaluation.json");
  const auto result = run_marginalia(
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
  const auto resumed = run_marginalia(fmt::format("resume '{}'", run.string()));
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(has(resumed.err, "checkpoint passed over"));
  CHECK(Json::parse(read_text(run / "run.json")).at("status") == "finished");
}

TEST_CASE("SIGTERM that comes twice, by two ways, is one; it checkpoints") {
  test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto run = folder / "run";
  // Steps that take longer than what is between the signals.
  const auto code = test::run_until(
      fmt::format("'{}' run '{}' --out '{}' training.steps=1000000 training.batch_size=20000 "
                  "training.checkpoint.every_steps=0 2>/dev/null >/dev/null",
                  MARGINALIA_PROGRAM, (folder / "tiny.json").string(), run.string()),
      fmt::format("[ -s '{}' ]", (run / "metrics.jsonl").string()),
      "TERM $run; sleep 0.05; kill -TERM");
  CHECK(code == 130);
  CHECK(Json::parse(read_text(run / "run.json")).at("status") == "interrupted");
  CHECK(fs::exists(run / "checkpoints/last.safetensors"));
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
  const auto resumed = run_marginalia(fmt::format("resume '{}'", run.string()));
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
      run_marginalia(fmt::format("run '{}' --out '{}'", (folder / "reward.json").string(), run));
  REQUIRE_MESSAGE(first.code == 0, first.err);
  const auto ask = [&](const std::string& verb, const std::string& more) {
    auto result =
        run_marginalia(fmt::format("{} '{}' {}", verb, run, more), R"({"x": [0,null,1]})");
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
  const auto result = run_marginalia(
      fmt::format("run '{}' --out '{}' training.steps=400 training.checkpoint.every_steps=1 "
                  "training.checkpoint.keep=1000",
                  (folder / "tiny.json").string(), run.string()));
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(has(result.err, "No space left on device"));
  int whole = 0;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
    if (!entry.is_symlink()) {
      const auto asked = run_marginalia(fmt::format("marginals '{}' --input - --checkpoint '{}'",
                                                    run.string(), entry.path().string()),
                                        R"({"x": [0,1,0,0,0,0,0,0,0]})");
      CHECK_MESSAGE(asked.code == 0, asked.err);
      if (++whole == 3) break;
    }
  CHECK(whole > 0);
  umount(disk.c_str());
}

TEST_CASE("the last line of a run says that its tree had uncommitted changes, where it had") {
  const test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto run = folder / "run";
  const auto result = run_marginalia(fmt::format("run '{}' --out '{}' training.steps=10",
                                                 (folder / "tiny.json").string(), run.string()));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  auto record = Json::parse(read_text(run / "run.json"));
  const auto built = record.at("commit").get<std::string>();
  const std::string words = "built with uncommitted changes";
  CHECK(has(result.out, words) == built.ends_with("-dirty"));
  CHECK_FALSE(record.contains("resumed_at"));

  for (const std::string commit : {"1234567-dirty", "1234567"}) {
    CAPTURE(commit);
    record["commit"] = commit;
    record["status"] = "interrupted";
    write_atomically(run / "run.json", record.dump());
    const auto resumed = run_marginalia(fmt::format("resume '{}'", run.string()));
    REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
    const auto now = Json::parse(read_text(run / "run.json"));
    CHECK(now.at("commit") == commit);     // what it was begun with
    CHECK(now.at("resumed_at") == built);  // another
    CHECK(has(resumed.out, commit + ": " + words) == commit.ends_with("-dirty"));
    CHECK(has(resumed.out, built + ": " + words) == built.ends_with("-dirty"));
  }
}
