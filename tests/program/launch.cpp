/// Runs on several processes of this machine: marginalia launch.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "app/front/launched_run.h"
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
  /// launch --ranks RANKS OPTIONS run SPEC --out RUN MORE.
  std::string command(int ranks, const std::string& more = "",
                      const std::string& options = "") const {
    return fmt::format("launch --ranks {} {} run '{}' --out '{}' --threads 1 {}", ranks, options,
                       spec, run, more);
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

/// Starts a command of a shell, does `what` once its run has lines of metrics, and waits for it.
template <class Action>
Result interrupted_shell(const Launched& of, const std::string& command, const Action& what) {
  fs::remove(fs::path(of.run) / "metrics.jsonl");
  auto result = std::async(std::launch::async, [&] { return run_shell(command); });
  const auto lines = fs::path(of.run) / "metrics.jsonl";
  CHECK(comes_about([&] { return fs::exists(lines) && fs::file_size(lines) > 0; }));
  what();
  return result.get();
}

/// The same of `marginalia COMMAND`.
template <class Action>
Result interrupted(const Launched& of, const std::string& command, const Action& what) {
  return interrupted_shell(of, fmt::format("'{}' {}", MARGINALIA_PROGRAM, command), what);
}

/// A command of a shell: two ranks of a run that nobody watches; it ends with the first.
std::string without_launcher(const Launched& of, const std::string& more) {
  return fmt::format(
      "(export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$(/usr/bin/env python3 -c 'import "
      "socket; s = socket.socket(); s.bind((\"\", 0)); print(s.getsockname()[1])'); "
      "RANK=0 '{0}' run '{1}' --out '{2}' --threads 1 {3} & first=$!; "
      "RANK=1 '{0}' run '{1}' --out '{2}' --threads 1 {3} & wait $first)",
      MARGINALIA_PROGRAM, of.spec, of.run, more);
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

/// Once training has left its first checkpoint behind.
void wait_for_checkpoint(const Launched& of) {
  const auto last = fs::path(of.run) / "checkpoints" / "last.safetensors";
  CHECK(comes_about([&] {
    std::error_code none;
    const auto name = fs::read_symlink(last, none).string();
    return !name.empty() && name != "step_000000.safetensors";
  }));
}

/// What a run has measured, without how long it took.
std::string figures(const std::string& run) {
  std::string text;
  std::ifstream lines(fs::path(run) / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    auto json = Json::parse(line);
    for (const auto* key : {"seconds", "train/step_seconds", "train/data_wait_seconds"})
      json.erase(key);
    text += json.dump() + "\n";
  }
  return text + Json::parse(read_text(fs::path(run) / "evaluation.json")).at("metrics").dump();
}

/// Of files that a process was writing when it was killed, below a folder.
int count_half_written(const fs::path& folder) {
  int count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    count += has(entry.path().filename().string(), ".tmp-");
  return count;
}

constexpr auto kSteps = "training.steps=300 training.checkpoint.every_steps=20";

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
  check(of.command(2, R"(network.prior=family 'prior={"family": {"type": "independent"}}')"),
        "the training of a \"prior\" is not divided among ranks");
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

TEST_CASE("a rank that dies is named, and ends all where nothing is to be started again") {
  const Launched of;
  const auto result = interrupted(of, of.command(4, "training.steps=1000000", "--restarts 0"),
                                  [&] { send(of, "1", SIGKILL); });
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(has(result.err, "rank 1 was ended by signal 9 (Killed); all were ended"));
  CHECK(has(result.err, "go on with: marginalia launch --ranks 4 resume " + of.run));
  CHECK(find_processes(of.run).empty());
  CHECK(of.record().at("status") == "failed");
}

TEST_CASE(
    "a rank that is killed or stopped is named, and all go on to where an unbroken run ends") {
  Launched of;
  REQUIRE(run_marginalia(of.command(2, kSteps)).code == 0);
  const auto unbroken = figures(of.run);
  const auto check = [&](const std::string& rank, int signal, const std::string& said) {
    of.run += "-again";
    const auto result = interrupted(of, of.command(2, kSteps, "--silence 3"), [&] {
      wait_for_checkpoint(of);
      std::ofstream(fs::path(of.run) / "samples" / "torn.tmp-999999999-0") << "torn";
      send(of, rank, signal);
    });
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    CHECK(has(result.err, "marginalia: rank " + rank + said +
                              "; all go on from the last checkpoint (restart 1 of 3)"));
    CHECK(has(result.err, "resuming " + of.run + " from step_"));
    CHECK(figures(of.run) == unbroken);
    CHECK(of.record().at("status") == "finished");
    CHECK_FALSE(of.record().contains("error"));
    CHECK(find_processes(of.run).empty());
    CHECK(count_half_written(of.run) == 0);
  };
  check("1", SIGKILL, " was ended by signal 9 (Killed)");
  check("0", SIGKILL, " was ended by signal 9 (Killed)");
  check("0", SIGSTOP, " was silent for 3 s");
}

TEST_CASE("a launch that is stopped as a whole, and continued, has missed nothing") {
  const Launched of;
  const auto result = interrupted(of, of.command(2, "training.steps=300", "--silence 3"), [&] {
    const auto all = find_processes(of.run, "MARGINALIA_HEARTBEAT");
    CHECK(all.size() == 2);
    std::vector<pid_t> launcher;
    for (const auto process : find_processes(of.run))
      if (is_launcher(process)) launcher.push_back(process);
    CHECK(launcher.size() == 1);
    const auto send_all = [&](int signal) {
      for (const auto& processes : {launcher, all})
        for (const auto process : processes)
          kill(process, signal);
    };
    send_all(SIGSTOP);
    std::this_thread::sleep_for(std::chrono::seconds(5));
    send_all(SIGCONT);
  });
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK_FALSE(has(result.err, "restart"));
  CHECK_FALSE(has(result.err, "silent"));
}

TEST_CASE("a rank that is lost again and again ends all, and the run can be resumed") {
  const Launched of;
  const auto result = interrupted(of, of.command(2, "training.steps=1000000", "--restarts 1"), [&] {
    send(of, "1", SIGSEGV);
    CHECK(comes_about([&] { return has(read_text(fs::path(of.run) / "log.txt"), "resumed"); }));
    send(of, "0", SIGKILL);
  });
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(has(result.err, "rank 1 was ended by signal 11 (Segmentation fault); all go on"));
  CHECK(has(result.err, "rank 0 was ended by signal 9 (Killed); all were ended, after 1 restart"));
  CHECK(has(result.err, "go on with: marginalia launch --ranks 2 resume " + of.run));
  CHECK(find_processes(of.run).empty());
}

TEST_CASE("ranks that are lost before there is a run begin anew, and set nothing aside twice") {
  const Launched of;
  fs::create_directory(of.run);
  write_atomically(fs::path(of.run) / "mine.txt", "mine");
  auto launched =
      std::async(std::launch::async, [&] { return run_marginalia(of.command(2, "--force")); });
  CHECK(comes_about(
      [&] { return find_processes(of.run, "RANK=0" + std::string(1, '\0')).size() == 1; }));
  send(of, "0", SIGKILL);
  const auto result = launched.get();
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(has(result.err, "rank 0 was ended by signal 9 (Killed); all begin anew (restart 1 of 3)"));
  CHECK(of.record().at("status") == "finished");
  CHECK(read_text(of.run + ".old/mine.txt") == "mine");
  CHECK_FALSE(fs::exists(of.run + ".old-2"));
}

TEST_CASE("what is wrong with a run is said once, and not tried again") {
  const Launched of;
  const auto result = run_marginalia(of.command(2, "training.optimizer.learning_rate=1e30"));
  CAPTURE(result.err);
  CHECK(result.code == 1);
  CHECK(count_lines(result.err, "learning_rate or a training.clip_norm may help") == 1);
  CHECK_FALSE(has(result.err, "restart"));
}

TEST_CASE(
    "words of a launch: anew until there is a record, then resume; others' folders are left") {
  test::TempDir folder;
  write_atomically(folder / "bits.json", "{}");
  const auto run = folder / "run";
  app::Request request;
  request.verb = "run";
  request.run.spec = (folder / "bits.json").string();
  request.run.out = run.string();
  request.options.threads = 3;
  request.options.plugins = {"a", "b"};
  const std::vector<std::string> words{"run", "bits.json", "--out", run.string(), "x=1"};
  const auto make = [&](const char* file) {
    for (const auto* part : {"checkpoints", "samples"})
      fs::create_directories(run / part);
    write_atomically(run / file, "{}");
  };

  app::LaunchedRun launched(words, request);
  make("lock");
  CHECK_FALSE(launched.can_go_on());
  launched.start_again();
  CHECK(launched.words() == words);
  CHECK_FALSE(fs::exists(run));  // half made
  make("notes.txt");
  launched.start_again();
  CHECK(fs::exists(run / "notes.txt"));  // by someone else
  make("run.json");
  CHECK(launched.can_go_on());
  launched.start_again();
  CHECK(launched.words() == std::vector<std::string>{"resume", run.string(), "--plugins", "a",
                                                     "--plugins", "b", "--threads", "3"});

  app::LaunchedRun forced(words, request);  // over a run that is there
  CHECK_FALSE(forced.can_go_on());
  forced.start_again();
  CHECK(forced.words() == words);
  CHECK(fs::exists(run / "run.json"));
}

TEST_CASE("the folder of a run without --out is the same for all starts") {
  test::TempDir folder;
  write_atomically(folder / "bits.json", "{}");
  app::Request request;
  request.verb = "run";
  request.run.spec = (folder / "bits.json").string();
  const app::LaunchedRun launched({"run", request.run.spec}, request);
  CHECK(launched.words() ==
        std::vector<std::string>{"run", "--out", launched.folder().string(), request.run.spec});
  CHECK(launched.folder().parent_path() == "runs");
  request.run.spec = "nowhere/bits.json";  // the ranks say that it is not there
  const std::vector<std::string> wrong{"run", request.run.spec};
  CHECK(app::LaunchedRun(wrong, request).words() == wrong);
}

TEST_CASE("without a launcher a rank that is stopped, and one that is gone, are named by rank 0") {
  for (const auto& [signal, said] :
       {std::pair{SIGSTOP, "marginalia: rank 1 has shown no sign of life for 10 s"},
        std::pair{SIGKILL, "rank 0 has lost rank 1, which ended or cannot be reached"}}) {
    CAPTURE(said);
    const Launched of;
    const auto result = interrupted_shell(of, without_launcher(of, "training.steps=1000000"),
                                          [&, signal = signal] { send(of, "1", signal); });
    CAPTURE(result.err);
    CHECK(result.code == 1);
    CHECK(has(result.err, said));
    for (const auto process : find_processes(of.run))
      kill(process, SIGKILL);
    CHECK(comes_about([&] { return find_processes(of.run).empty(); }));
  }
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
