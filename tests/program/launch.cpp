/// Runs on several processes of this machine: marginalia launch.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "families/bits.h"
#include "host/ranks/rendezvous.h"
#include "program.h"

using namespace marginalia;
using test::has, test::Result, test::run_marginalia, test::run_shell;
namespace fs = std::filesystem;

namespace {

/// A spec of a table, in a folder of its own, and where its runs go.
struct Launched {
  test::TempDir folder;
  std::string spec = (folder / "bits.json").string(), run = (folder / "run").string();
  explicit Launched(const std::string& training = "") {
    test::write_bits(folder / "rows.txt");
    write_atomically(folder / "bits.json", fmt::format(R"({{"marginalia": 2, "seed": 1,
      "dataset": {{"type": "table", "train": "rows.txt", "valid": "rows.txt", "test": "rows.txt"}},
      "network": {{"type": "mlp", "hidden": 16}}, "family": {{"type": "any_order_arm"}},
      "training": {{"steps": 40, "batch_size": 32, "log_every_steps": 10{}}},
      "evaluation": {{"rows": 50, "samples": 4, "metrics": ["nll"]}}}})",
                                                       training));
  }
  /// marginalia launch --ranks RANKS run SPEC --out RUN MORE.
  std::string command(int ranks, const std::string& more = "") const {
    return fmt::format("launch --ranks {} run '{}' --out '{}' --threads 1 {}", ranks, spec, run,
                       more);
  }
  Json record() const { return Json::parse(read_text(fs::path(run) / "run.json")); }
};

/// The lines of a text that have a part.
int count_lines(const std::string& text, const std::string& part) {
  int count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

/// Processes whose command line has `part`, and whose environment `variable`.
std::vector<pid_t> find_processes(const std::string& part, const std::string& variable = "") {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto process = std::atoi(entry.path().filename().c_str());
    const auto holds = [&](const char* file, const std::string& text) {
      std::ifstream in(entry.path() / file);
      return has(std::string(std::istreambuf_iterator<char>(in), {}), text);
    };
    if (process > 0 && holds("cmdline", part) && holds("environ", variable))
      found.push_back(process);
  }
  return found;
}

/// Whether it comes about in a minute.
template <class Condition>
bool comes_about(const Condition& condition) {
  for (int n = 0; n < 600; ++n) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

/// Starts `command`, does `what` once its run has lines of metrics, and waits for it.
template <class Action>
Result interrupted(const Launched& of, const std::string& command, const Action& what) {
  fs::remove(fs::path(of.run) / "metrics.jsonl");
  auto result = std::async(std::launch::async, [&] { return run_marginalia(command); });
  const auto lines = fs::path(of.run) / "metrics.jsonl";
  CHECK(comes_about([&] { return fs::exists(lines) && fs::file_size(lines) > 0; }));
  what();
  return result.get();
}

/// Not the shell that has started it, whose command line has its words as well.
bool is_launcher(pid_t process) {
  const auto command = read_text(fmt::format("/proc/{}/cmdline", process));
  return !has(command, "-c") && has(command, "launch");
}

void send(const Launched& of, const std::string& rank, int signal) {
  const auto found = find_processes(of.run, "RANK=" + rank + std::string(1, '\0'));
  CHECK(found.size() == 1);
  for (const auto process : found)
    kill(process, signal);
}

}  // namespace

TEST_SUITE_BEGIN("ranks" * doctest::skip(!why_no_ranks().empty()));

TEST_CASE("two ranks run a spec as one: one run, one voice") {
  const Launched of;
  const auto result = run_marginalia(of.command(2));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(has(result.out, "nll"));
  CHECK(count_lines(result.out, "report: ") == 1);
  CHECK(count_lines(result.err, "evaluating step 40") == 1);
  CHECK_FALSE(has(result.err, "[rank 1]"));
  CHECK(of.record().at("ranks") == 2);
  CHECK(of.record().at("status") == "finished");
  CHECK(of.record().at("steps") == 40);
  const auto again =
      run_marginalia(fmt::format("run '{}' --out '{}' --threads 1", of.spec, of.run + ".alone"));
  REQUIRE_MESSAGE(again.code == 0, again.err);
  const auto loss = [](const std::string& run) {
    std::ifstream lines(fs::path(run) / "metrics.jsonl");
    std::string line, last;
    while (std::getline(lines, line))
      last = line;
    return Json::parse(last).at("train/loss").get<double>();
  };
  CHECK(loss(of.run) == doctest::Approx(loss(of.run + ".alone")).epsilon(1e-4));
}

TEST_CASE("what is wrong with a request of ranks is said once, with exit code 2") {
  const Launched of;
  const auto check = [&](const std::string& command, const std::string& text) {
    const auto result = run_marginalia(command);
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(count_lines(result.err, "marginalia: ") == 1);
    CHECK(has(result.err, text));
    CHECK_FALSE(fs::exists(of.run));
  };
  check(of.command(3), "training.batch_size is 32, which they do not divide; 33 would do");
  check(of.command(2, "family.type=chow_liu network=null"),
        "its training is not divided among ranks");
  check(of.command(2, "training.stepz=3"), "did you mean \"steps\"?");
  check("launch --ranks 2 run /nowhere.json", "/nowhere.json");
  check("launch --ranks 2 sample runs/any", "launch starts run or resume, not \"sample\"");
  check("launch --ranks 2", "launch starts run or resume");
  check("launch run x.json", "--ranks is required");
  check("launch --ranks 2 run", "spec is required");
  fs::remove(of.folder / "rows.txt");
  check(of.command(2), "rows.txt");
}

TEST_CASE("a port that is taken is said once") {
  const Launched of;
  const auto result =
      run_shell(fmt::format("/usr/bin/env python3 -c 'import socket, subprocess, sys\n"
                            "s = socket.socket(); s.bind((\"\", 0)); s.listen(1)\n"
                            "import os; os.environ[\"MASTER_PORT\"] = str(s.getsockname()[1])\n"
                            "sys.exit(subprocess.call(sys.argv[1:]))' '{}' {}",
                            MARGINALIA_PROGRAM, of.command(2)));
  CAPTURE(result.err);
  CHECK(result.code == 2);
  CHECK(has(result.err, "is taken on this machine"));
  CHECK(count_lines(result.err, "marginalia: ") == 1);
}

TEST_CASE("ranks with other specs end with one message and exit code 2 on all") {
  const Launched of;
  const auto result = run_shell(fmt::format(
      "(export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$(/usr/bin/env python3 -c 'import "
      "socket; s = socket.socket(); s.bind((\"\", 0)); print(s.getsockname()[1])'); "
      "RANK=0 '{0}' run '{1}' --out '{2}' & first=$!; "
      "RANK=1 '{0}' run '{1}' --out '{2}' training.steps=41; second=$?; "
      "wait $first; exit $((10 * $? + second)))",
      MARGINALIA_PROGRAM, of.spec, of.run));
  CAPTURE(result.err);
  CHECK(result.code == 22);
  CHECK(has(result.err, "/spec/training/steps is 40 of rank 0, and 41 of rank 1"));
  CHECK(count_lines(result.err, "marginalia: ") == 1);
  CHECK_FALSE(fs::exists(of.run));
}

TEST_CASE("an interrupted launch is resumed by as many ranks, and refused to any other number") {
  const Launched of;
  const auto stopped =
      interrupted(of, of.command(2, "training.steps=1000000"), [&] { send(of, "1", SIGTERM); });
  CAPTURE(stopped.err);
  CHECK(stopped.code == 130);
  CHECK(count_lines(stopped.err, "go on with: marginalia launch --ranks 2 resume") == 1);
  auto record = of.record();
  CHECK(record.at("status") == "interrupted");
  CHECK(fs::exists(fs::path(of.run) / "checkpoints" /
                   fmt::format("step_{:06}.safetensors", record.at("steps").get<int>())));
  const auto alone = run_marginalia("resume '" + of.run + "'");
  CHECK(alone.code == 2);
  CHECK(has(alone.err, "was begun by 2 ranks, and would go on with one"));
  CHECK(has(alone.err, "marginalia launch --ranks 2 resume"));
  const auto four = run_marginalia("launch -n 4 resume '" + of.run + "'");
  CHECK(four.code == 2);
  CHECK(count_lines(four.err, "marginalia: ") == 1);
  record["spec"]["training"]["steps"] = record.at("steps").get<int>() + 5;
  write_atomically(fs::path(of.run) / "run.json", record.dump());
  const auto resumed = run_marginalia("launch -n 2 resume '" + of.run + "'");
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(of.record().at("status") == "finished");
}

TEST_CASE("a signal to the launcher checkpoints all") {
  for (const int signal : {SIGINT, SIGTERM}) {
    CAPTURE(signal);
    const Launched of;
    const auto stopped = interrupted(of, of.command(2, "training.steps=1000000"), [&] {
      for (const auto process : find_processes(of.run))
        if (is_launcher(process)) kill(process, signal);
    });
    CAPTURE(stopped.err);
    CHECK(of.record().at("status") == "interrupted");
    CHECK(comes_about([&] { return find_processes(of.run).empty(); }));
  }
}

TEST_CASE("a rank that dies is named, and ends all") {
  const Launched of;
  const auto result =
      interrupted(of, of.command(4, "training.steps=1000000"), [&] { send(of, "1", SIGKILL); });
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(has(result.err, "rank 1 was ended by signal 9 (Killed); all were ended"));
  CHECK(find_processes(of.run).empty());
  CHECK(of.record().at("status") == "failed");
}

TEST_CASE("ranks end when their launcher dies, with a checkpoint") {
  const Launched of;
  interrupted(of, of.command(2, "training.steps=1000000"), [&] {
    for (const auto process : find_processes(of.run))
      if (is_launcher(process)) kill(process, SIGKILL);
  });
  CHECK(comes_about([&] { return find_processes(of.run).empty(); }));
  CHECK(of.record().at("status") == "interrupted");
}

TEST_SUITE_END();
