#include "command.h"

#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include <marginalia/energy.h>
#include <marginalia/files.h>

#include "host/formats/safetensors.h"

using namespace marginalia;
using test::command_spec, test::ended, test::kCommandSays, test::kRewards, test::unruly;
namespace fs = std::filesystem;
using torch::Tensor;

namespace {

/// Runs `marginalia ARGUMENTS`.  -> its exit code; what it wrote to stderr goes to `errors`.
int program(const std::string& arguments, std::string& errors) {
  const test::TempDir folder;
  const auto file = folder / "errors";
  const int status = std::system(fmt::format("'{}/../bin/marginalia' {} --threads 1 > '{}' 2>&1",
                                             MARGINALIA_PLUGIN_DIR, arguments, file.string())
                                     .c_str());
  errors = read_text(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// A run that learns from unruly.py, which dies after some states unless the file `health` exists.
std::string run_spec(const fs::path& health) {
  const auto energy = unruly({"ends", "600", health.string()}, R"(, "restarts": 1)");
  return fmt::format(R"({{"marginalia": 1, "seed": 1, "energy": {},
    "network": {{"type": "mlp", "hidden": 16, "layers": 2}},
    "family": {{"type": "mam", "states": "metropolis", "chain": {{"count": 32, "block": 2}}}},
    "training": {{"steps": 60, "batch_size": 16, "checkpoint": {{"every_steps": 10}}}},
    "evaluation": {{"rows": 20, "samples": 2, "metrics": ["log_z"]}}}})",
                     energy);
}

}  // namespace

TEST_CASE("a command's program ends with its host, however that ends, and all it has started") {
  const test::TempDir folder;
  const auto pids = folder / "pids";
  // After the probe it thinks for long, deaf to SIGTERM, as a child of its own does.
  const auto script =
      fmt::format("trap '' TERM; sleep 1000 & read a; read b; echo 0; echo 0; read c; "
                  "echo $$ $! > '{0}.new'; mv '{0}.new' '{0}'; while :; do sleep 1000; done",
                  pids.string());
  const auto energy = command_spec({"sh", "-c", script}, R"({"variables": 3, "levels": 4})");
  write_atomically(folder / "reward.json", fmt::format(R"({{"marginalia": 1, "energy": {},
    "family": {{"type": "mcmc", "sampler": "metropolis", "chains": 8}},
    "training": {{"steps": 1}}}})",
                                                       energy));
  const auto host = fmt::format(
      "'{}/../bin/marginalia' run '{}' --out '{}' >/dev/null 2>&1 & host=$!; "
      "until [ -e '{}' ]; do kill -0 $host || exit 1; sleep 0.1; done; kill -KILL $host",
      MARGINALIA_PLUGIN_DIR, (folder / "reward.json").string(), (folder / "run").string(),
      pids.string());
  REQUIRE(std::system(host.c_str()) == 0);
  std::ifstream in(pids);
  int program = 0, child = 0;
  in >> program >> child;
  REQUIRE(child > 0);
  for (int n = 0; n < 250 && !(ended(program) && ended(child)); ++n)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(ended(program));
  CHECK(ended(child));
}

TEST_CASE("a run whose reward dies for good goes on from its checkpoint when that is repaired") {
  const test::TempDir folder;
  const auto health = folder / "health";
  write_atomically(folder / "reward.json", run_spec(health));
  const auto run = [&](const std::string& name) { return (folder / name).string(); };
  const auto start = [&](const std::string& name) {
    return fmt::format("run '{}' --out '{}'", run("reward.json"), run(name));
  };
  std::string errors;

  CHECK(program(start("broken"), errors) == 1);
  CAPTURE(errors);
  CHECK(errors.find("marginalia: warning: energy command (plugin command): python3 unruly.py ends "
                    "600") != std::string::npos);
  CHECK(errors.find("ended with exit status 1 after") != std::string::npos);
  CHECK(errors.find("out of \xef\xbf\xbdther\n(\"restarts\": 1, none is left)") !=
        std::string::npos);
  const auto record = Json::parse(read_text(folder / "broken/run.json"));
  CHECK(record.at("status") == "failed");
  CHECK(record.at("error").get<std::string>().find("out of") != std::string::npos);
  const auto newest = fs::read_symlink(folder / "broken/checkpoints/last.safetensors");
  CHECK(newest.string() > "step_000000.safetensors");

  CHECK(program(fmt::format("resume '{}'", run("broken")), errors) == 1);  // still ill
  write_atomically(health, "well");
  CHECK(program(fmt::format("resume '{}'", run("broken")), errors) == 0);
  CHECK(program(start("whole"), errors) == 0);
  const auto resumed = read_safetensors(folder / "broken/checkpoints/last.safetensors");
  const auto whole = read_safetensors(folder / "whole/checkpoints/last.safetensors");
  CHECK(resumed.tensors.size() == whole.tensors.size());
  for (const auto& [name, tensor] : whole.tensors) {
    CAPTURE(name);
    CHECK(tensor.equal(resumed.tensors.at(name)));
  }
}
