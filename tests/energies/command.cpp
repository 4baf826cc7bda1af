#include "command.h"

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <numeric>
#include <thread>

#include <fmt/format.h>

#include <marginalia/energy.h>
#include <marginalia/files.h>
#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using test::command_spec, test::ended, test::kCommandSays, test::kRewards, test::unruly;
namespace fs = std::filesystem;
using torch::Tensor;

namespace {

std::string refused(const std::string& spec) {
  return test::refusal([&] { test::make<Energy>(spec); });
}

/// What it says of six states, when it has passed the probe.
std::string failure(const std::string& spec) {
  const auto energy = test::make<Energy>(spec);
  const auto x = torch::arange(18).remainder(4).view({6, 3});
  return test::refusal([&] { energy->log_density(x); });
}

Tensor sums(const Tensor& x) {
  return 1 + x.sum(1).to(torch::kDouble);
}

std::string program_text(const std::string& arguments) {
  return "python3 unruly.py " + arguments + ": ";
}

}  // namespace

TEST_CASE("a command's density is what its program writes") {
  const auto ids = test::make<Energy>(unruly({"sums"}, R"(, "batch_size": 7)"));
  const auto x = all_states(ids->space());  // [64, 3]
  CHECK(ids->log_density(x).equal(sums(x)));
  CHECK(ids->log_density(x.flip(0)).equal(sums(x.flip(0))));
  const auto text = test::make<Energy>(unruly({"sums"}, R"(, "input": "text")"));
  CHECK(text->log_density(x).equal(sums(x)));

  const auto letters = test::make<Energy>(command_spec(
      {"sh", "-c",
       R"(while read x; do case $x in '{"text":"CAB"}') echo 7;; *) echo 0; )"
       "esac; done"},
      R"({"cardinalities": [3, 1, 2], "alphabet": ["A", "B", "C"]})", R"(, "input": "text")"));
  const auto y = all_states(letters->space());
  CHECK(letters->log_density(y).equal(torch::tensor({0, 0, 0, 0, 0, 7}, torch::kDouble)));
}

/// The Python of the guide on rewards is what experiments/rewards runs.
TEST_CASE("the guide to rewards shows the programs as they are") {
  const auto guide = read_text(MARGINALIA_DOCS "/guides/rewards-in-python.md");
  for (const std::string name : {"longest_run.py", "motif.py"}) {
    auto program = read_text(std::string(MARGINALIA_EXPERIMENTS) + "/rewards/" + name);
    if (name == "motif.py") program.erase(0, program.find("import torch"));  // after what it says
    CHECK_MESSAGE(guide.find("```python\n" + program + "```\n") != std::string::npos, name);
  }
}

// A_n(k) strings of n bits have no run of ones longer than k: 2^n for n <= k, else the sum of
// A_(n-1) to A_(n-1-k). Schilling (1990), The College Mathematics Journal 21(3), 196.
TEST_CASE("the reward of experiments/rewards/command.json counts runs as Schilling does") {
  const auto energy = test::make<Energy>(command_spec(
      {"python3", "longest_run.py"}, R"({"variables": 12, "levels": 2})", R"(, "input": "text")"));
  const auto longest = (energy->log_density(all_states(energy->space())) / 0.8).round();
  for (int k = 0; k <= 12; ++k) {
    std::vector<std::int64_t> A{1};
    for (int n = 1; n <= 12; ++n)
      A.push_back(n <= k ? 2 * A.back()
                         : std::accumulate(A.end() - k - 1, A.end(), std::int64_t{0}));
    CHECK((longest <= k).sum().item<std::int64_t>() == A[12]);
    if (k == 3)
      CHECK(A == std::vector<std::int64_t>{1, 2, 4, 8, 15, 29, 56, 108, 208, 401, 773, 1490, 2872});
  }
}

TEST_CASE("a batch larger than the pipes goes through both of them") {
  const auto energy = test::make<Energy>(command_spec({"python3", "unruly.py", "long"},
                                                      R"({"variables": 2000, "levels": 10})",
                                                      R"(, "batch_size": 500)"));
  const auto x = torch::randint(10, {1000, 2000}, torch::kLong);  // 4 MB of questions, 1 of answers
  CHECK(energy->log_density(x).equal(sums(x)));
  const auto loud =
      test::make<Energy>(unruly({"floods"}));  // what nobody reads of its stderr stops it not
  CHECK(loud->log_density(x.slice(0, 0, 5).slice(1, 0, 3).remainder(4)).numel() == 5);
}

TEST_CASE("a command's program forbids states by null or -inf, plain or in an object") {
  for (const std::string answer :
       {"null", "-inf", "-Infinity", "-Inf", "-INFINITY", "\"-inf\"", "{\"log_density\": null}",
        "{\"log_density\": \"-Infinity\"}", "{\"log_density\": -Infinity}",
        "{\"why\": \"a \\\"-inf\\\" 1.\", \"log_density\":-inf}"}) {
    CAPTURE(answer);
    const auto energy = test::make<Energy>(unruly({"says", answer}));
    const auto value = energy->log_density(torch::ones({2, 3}, torch::kLong));
    CHECK(value[0].item<double>() == 4);
    CHECK(value[1].item<double>() == -INFINITY);
  }
  const auto energy =
      test::make<Energy>(unruly({"says", "{\"log_density\": -2.5e3, \"why\": \"ring\"}"}));
  CHECK(energy->log_density(torch::ones({2, 3}, torch::kLong))[1].item<double>() == -2500);
}

TEST_CASE("a command's program may write numbers in any decimal form") {
  for (const std::string answer : {"0.5", "+0.5", ".5", "+.5e0", " 5E-1 ", "{\"log_density\": .5}",
                                   "{\"log_density\":+0.500}"}) {
    CAPTURE(answer);
    const auto energy = test::make<Energy>(unruly({"says", answer}));
    CHECK(energy->log_density(torch::ones({2, 3}, torch::kLong))[1].item<double>() == 0.5);
  }
  for (const std::string answer :
       {"nan", "NaN", "inf", "+Infinity", "np.float64(1.0)", "1,5", "1e999",
        "{\"log_density\": NaN}", "{\"log_density\": Infinity}", "0x10"}) {
    CAPTURE(answer);
    const auto energy = test::make<Energy>(unruly({"says", answer}));
    CHECK_THROWS_AS(energy->log_density(torch::ones({2, 3}, torch::kLong)), Error);
  }
}

TEST_CASE("what is not an answer is refused with its line, its text and the state") {
  const auto expected = [](const std::string& shown) {
    return fmt::format(
        "line 2 of 6 in its answer is {}; it must be a finite number or {{\"log_density\": "
        "number}}, or null for a forbidden state; it was asked {{\"state\":[3,0,1]}}",
        shown);
  };
  for (const auto& [answer, shown] :
       {std::pair<std::string, std::string>{"nan", R"("nan")"},
        {"inf", R"("inf")"},
        {"1e999", R"("1e999")"},
        {"", R"("")"},
        {"1 2", R"("1 2")"},
        {"{\"reward\": 1}", R"("{\"reward\": 1}")"},
        {"true", R"("true")"},
        {"\xc3\xa9", R"("\u00e9")"},
        {std::string(300, 'x'), '"' + std::string(200, 'x') + "\" ..."}})
    CHECK(failure(unruly({"says", answer})) ==
          kCommandSays + program_text("says " + answer) + expected(shown));

  const auto energy =
      test::make<Energy>(unruly({"says", "nan"}));  // and asked again, it is a new program
  const auto x = torch::ones({2, 3}, torch::kLong);
  CHECK_THROWS_AS(energy->log_density(x), Error);
  CHECK(energy->log_density(x.slice(0, 0, 1)).equal(torch::tensor({4.0}, torch::kDouble)));
}

TEST_CASE("more lines than states are refused") {
  const std::string rule = "; its stdout is for answers alone, one line for each state, in order";
  CHECK(refused(unruly({"thrice"})) ==
        kCommandSays + program_text("thrice") + "wrote a line that answers no state: \"1\"" + rule);
  std::string twice = "accepted";  // where its lines come slowly, the machine being busy
  for (int n = 0; n < 5 && twice == "accepted"; ++n)
    twice = refused(unruly({"twice"}));
  CHECK(twice ==
        kCommandSays + program_text("twice") + "wrote a line that answers no state: \"1\"" + rule);
  const auto later = test::make<Energy>(unruly({"twice_later"}));
  const auto x = torch::ones({2, 3}, torch::kLong);
  const auto ask = [&] { later->log_density(x); };
  auto message = test::refusal(ask);  // at once, or when its last line came after the answers
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  if (message == "accepted") message = test::refusal(ask);
  CHECK(message == kCommandSays + program_text("twice_later") +
                       "wrote a line that answers no state: \"4\"" + rule);
  CHECK(
      refused(unruly({"banner"})) ==
      kCommandSays + program_text("banner") +
          "gave 0 and 1 for the same state; log f must be a function, and each line of its stdout "
          "the answer to one state");
  CHECK(refused(unruly({"noisy"})).find("for the same state") != std::string::npos);
  CHECK(refused(command_spec({"yes"}, R"({"variables": 3, "levels": 4})")) ==
        kCommandSays + "yes: wrote a line that answers no state: \"y\"" + rule);
  const auto endless = refused(
      command_spec({"sh", "-c", "read x; cat /dev/zero"}, R"({"variables": 3, "levels": 4})"));
  CAPTURE(endless);
  CHECK(endless.find(
            ": wrote a line of more than 1048576 bytes, which is not an answer: \"\\u0000") !=
        std::string::npos);
}

TEST_CASE("a program that dies once is started again, and the batch asked again") {
  const test::TempDir folder;
  const auto energy = test::make<Energy>(unruly({"ends_once", (folder / "died").string()}));
  const auto x = all_states(energy->space());
  CHECK(energy->log_density(x).equal(sums(x)));
  CHECK(fs::exists(folder / "died"));
}

TEST_CASE("a program that dies for good is an error with its end and its last words") {
  CHECK(failure(unruly({"ends", "4"}, R"(, "restarts": 2)")) ==
        kCommandSays + program_text("ends 4") +
            "ended with exit status 1 after 4 of 6 answers; its stderr ends with\n"
            "out of \xef\xbf\xbdther\n(\"restarts\": 2, none is left)");
  CHECK(failure(unruly({"ends_once", "/nowhere/file"}, R"(, "restarts": 0)"))
            .find("No such file or directory: '/nowhere/file'\n(\"restarts\": 0, none is left)") !=
        std::string::npos);
  CHECK(refused(unruly({"closes"})) ==
        kCommandSays + program_text("closes") +
            "closed its stdout after 0 of 2 answers; its stderr is empty");
  const auto killed =
      command_spec({"sh", "-c", "read a; read b; echo 1; echo 1; read c; kill -9 $$"},
                   R"({"variables": 3, "levels": 4})", R"(, "restarts": 0)");
  CHECK(failure(killed).find(
            ": was killed by signal 9 (Killed) after 0 of 6 answers; its stderr is empty") !=
        std::string::npos);
}

TEST_CASE("a program that does not read is an error, not a broken pipe") {
  const auto large = R"({"variables": 100000, "levels": 2})";
  CHECK(refused(command_spec({"true"}, large)) ==
        kCommandSays + "true: ended with exit status 0 after 0 of 2 answers; its stderr is empty");
  CHECK(refused(command_spec({"sh", "-c", "exec 0<&-; echo gone >&2; exit 7"}, large))
            .find("ended with exit status 7 after 0 of 2 answers; its stderr ends with\ngone") !=
        std::string::npos);
}

TEST_CASE("a program that does not answer in time is stopped") {
  CHECK(refused(unruly({"silent"}, R"(, "timeout_seconds": 0.5)")) ==
        kCommandSays + program_text("silent") +
            "gave 0 of 2 answers in 0.5 s; it must answer every line at once, in Python by "
            "print(..., flush=True); its stderr is empty");
}

TEST_CASE("a command's program goes with its energy, also against its will") {
  const test::TempDir folder;
  const auto pid_file = folder / "pid";
  test::make<Energy>(unruly({"stubborn", pid_file.string()}));
  const auto pid = std::stoi(read_text(pid_file));
  CHECK((kill(pid, 0) != 0 && errno == ESRCH));  // neither running nor a zombie
  // A shell's own children go with it.
  const auto shell =
      command_spec({"sh", "-c",
                    fmt::format("sleep 1000 & echo $! > '{}'; while read x; do echo 0; done; wait",
                                pid_file.string())},
                   R"({"variables": 3, "levels": 4})");
  test::make<Energy>(shell);
  const auto sleeping = std::stoi(read_text(pid_file));
  for (int n = 0; n < 100 && !ended(sleeping); ++n)  // whoever adopts it reaps it
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(ended(sleeping));
}

TEST_CASE("a command's program sees its own three streams and starts in its folder") {
  const auto descriptors = test::make<Energy>(
      command_spec({"sh", "-c", "while read x; do set -- /proc/$$/fd/*; echo $#; done"},
                   R"({"variables": 1, "levels": 2})"));
  CHECK(descriptors->log_density(torch::zeros({1, 1}, torch::kLong)).item<double>() ==
        4);  // and the listing itself

  const test::TempDir folder;  // a program beside the spec, as ./NAME and by its interpreter
  std::ofstream(folder / "reward") << "#!/bin/sh\nwhile read x; do cat value; done\n";
  std::ofstream(folder / "value") << "42\n";
  fs::permissions(folder / "reward", fs::perms::owner_all);
  const auto& registry = test::loaded_registry();
  for (const std::string command : {R"(["./reward"])", R"(["sh", "reward"])"}) {
    const auto spec = Spec::from_text(
        fmt::format(
            R"({{"type": "command", "command": {}, "space": {{"variables": 1, "levels": 2}}}})",
            command),
        "spec.json", {folder.path(), "/nowhere"});
    const auto energy = registry.make<Energy>(spec);
    CHECK(energy->log_density(torch::zeros({1, 1}, torch::kLong)).item<double>() == 42);
    Faults faults;  // a resumed run finds it from the run's own folder
    const auto directory = registry.check("energy", spec, faults)["directory"].get<std::string>();
    CHECK(fs::equivalent(directory, folder.path()));
    CHECK(fs::path(directory).is_absolute());
  }
}

TEST_CASE("a command that cannot be asked is refused before any work") {
  const std::string space = R"({"variables": 3, "levels": 4})";
  CHECK(refused(R"({"type": "command", "space": {"variables": 3, "levels": 4}})") ==
        kCommandSays + "needs \"command\", as [\"python3\", \"reward.py\"]");
  CHECK(refused(command_spec({"no-such-program", "x"}, space)) ==
        kCommandSays +
            fmt::format("no-such-program x: cannot be started: no-such-program: No such file or "
                        "directory; a program is looked for in $PATH or, with a / in its name, "
                        "from {}",
                        kRewards));
  CHECK(refused(R"({"type": "command", "command": ["true"], "directory": "/nowhere",
                    "space": {"variables": 3, "levels": 4}})") ==
        kCommandSays + "\"directory\": /nowhere is not a folder");

  const std::string rule =
      "\"space\" takes \"variables\" and \"levels\", as {\"variables\": 12, \"levels\": 2}, or "
      "\"cardinalities\", as {\"cardinalities\": [2, 2, 5]}";
  for (const std::string wrong : {"{}", R"({"variables": 3})", R"({"levels": 3})",
                                  R"({"variables": 2, "levels": 2, "cardinalities": [2, 2]})"})
    CHECK(refused(command_spec({"true"}, wrong)) == kCommandSays + rule);
  CHECK(refused(command_spec({"true"}, R"({"variables": 12, "levels": 2, "shape": [3, 5]})")) ==
        kCommandSays + "\"space\": the product of \"shape\" is 15, but there are 12 variables");
  CHECK(refused(
            command_spec({"true"}, R"({"variables": 12, "levels": 3, "alphabet": ["A", "B"]})")) ==
        kCommandSays + "\"space\": \"alphabet\" has 2 texts, but there are 3 levels");
  CHECK(refused(command_spec({"true"}, R"({"variables": 1000000000, "levels": 2})")) ==
        kCommandSays + "\"space\": 1000000000 variables are too many; take at most 16777216");
}
