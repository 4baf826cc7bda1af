/// \file
/// What the front program answers without LibTorch, and the descriptions that it keeps.
#include <filesystem>

#include "program/program.h"

using namespace marginalia;
namespace fs = std::filesystem;
using test::has;
using test::run_marginalia;
using test::run_shell;

namespace {

fs::path library(const std::string& plugin) {
  return fs::path(MARGINALIA_PLUGIN_DIR) / fmt::format("marginalia_{}.so", plugin);
}

/// A cache folder and a folder of plugins of one's own.
struct Plugins {
  test::TempDir cache, folder;

  test::Result ask(const std::string& arguments) const {
    return run_shell(fmt::format("MARGINALIA_CACHE='{}' MARGINALIA_PLUGINS='{}' '{}' {}",
                                 cache.path().string(), folder.path().string(), MARGINALIA_PROGRAM,
                                 arguments));
  }
  /// The same, with what the dynamic linker loads told on stderr.
  test::Result trace(const std::string& arguments) const {
    return run_shell(
        fmt::format("LD_DEBUG=files MARGINALIA_CACHE='{}' MARGINALIA_PLUGINS='{}' '{}' {}",
                    cache.path().string(), folder.path().string(), MARGINALIA_PROGRAM, arguments));
  }
  bool loads_torch(const std::string& arguments) const {
    const auto traced = trace(arguments);
    REQUIRE(has(traced.err, "libc.so"));
    return has(traced.err, "libtorch_cpu.so");
  }
  std::size_t kept() const {
    return std::size_t(std::distance(fs::directory_iterator(cache.path()), {}));
  }
};

/// A finished run, as little of it as a report and a table need.
void write_run(const fs::path& run) {
  fs::create_directories(run);
  write_atomically(run / "run.json", R"({"name": "r", "status": "finished", "spec": {"seed": 1}})");
}

}  // namespace

TEST_CASE("what needs no tensor is answered without LibTorch") {
  const Plugins plugins;
  REQUIRE(plugins.ask("list").code == 0);  // from here on the descriptions are kept
  write_run(plugins.folder / "run");
  const auto run = (plugins.folder / "run").string();
  for (const std::string verb :
       {"run",    "resume", "check",         "evaluate",  "report", "marginals", "conditionals",
        "sample", "exact",  "most-probable", "mpe",       "map",    "list",      "describe",
        "doctor", "runs",   "study",         "reproduce", "data",   "new",       "molecules"}) {
    CAPTURE(verb);
    CHECK_FALSE(plugins.loads_torch(verb + " --help"));
  }
  for (const std::string& words :
       {std::string("--version"), std::string("list"), std::string("list --queries"),
        std::string("describe energy ising"), std::string("describe --all"),
        std::string("data list"), "report '" + run + "'", "runs '" + run + "'",
        std::string("list energi"), std::string("no_such_verb")}) {
    CAPTURE(words);
    CHECK_FALSE(plugins.loads_torch(words));
  }
  CHECK(plugins.loads_torch("doctor"));
}

TEST_CASE("kept descriptions are those of the plugins that are there") {
  const Plugins plugins;
  const auto place = plugins.folder / "mine.so";
  const auto refusal = "plugin refused: " + place.string();
  CHECK_FALSE(has(plugins.ask("list").err, refusal));
  CHECK(plugins.kept() == 1);

  write_atomically(place, "text");  // refused, and said so each time
  for (int time = 0; time < 2; ++time) {
    const auto listed = plugins.ask("list energy");
    CHECK(listed.code == 0);
    CHECK(has(listed.err, refusal + ": not a shared library"));
  }
  CHECK(plugins.ask("describe energy isng").code == 3);  // perhaps that plugin's

  fs::remove(place);
  fs::copy_file(fs::path(MARGINALIA_BAD_PLUGIN_DIR) / "published" / "published.so", place);
  CHECK(has(plugins.ask("list dataset").out, "published"));
  CHECK(plugins.ask("list dataset").err.empty());

  fs::remove(place);
  CHECK_FALSE(has(plugins.ask("list dataset").out, "published"));
  CHECK(plugins.kept() == 1);
}

TEST_CASE("kept descriptions that were damaged are made anew") {
  const Plugins plugins;
  const auto told = plugins.ask("list --json").out;
  const auto kept = fs::directory_iterator(plugins.cache.path())->path();
  const auto whole = read_text(kept);
  for (const auto& text : {std::string(), whole.substr(0, whole.size() / 2), std::string("{}"),
                           std::string(R"({"marginalia_descriptions": 1})")}) {
    write_atomically(kept, text);
    CHECK(plugins.ask("list --json").out == told);
    CHECK(read_text(kept) == whole);
  }
}

TEST_CASE("a spec is checked with the plugins that it names") {
  const Plugins plugins;
  REQUIRE(plugins.ask("list").code == 0);
  const auto spec = fmt::format("'{}/ising/smoke.json'", MARGINALIA_EXPERIMENTS);
  const auto traced = plugins.trace("check " + spec);
  CHECK(traced.code == 0);
  CHECK(has(traced.err, library("lattice_conv").filename().string()));
  CHECK_FALSE(has(traced.err, library("transformer").filename().string()));
  // A name that is not there is told beside all that are.
  const auto wrong = plugins.ask(fmt::format("check {} network.type=transformr", spec));
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "did you mean \"transformer\"?"));
}

TEST_CASE("keys that no run has are named, in filters, orders and columns") {
  const test::TempDir folder;
  const auto write = [&](const std::string& name, double coupling, const std::string& metrics) {
    fs::create_directories(folder / name);
    write_atomically(folder / name / "run.json",
                     fmt::format(R"({{"status": "finished", "started": "{}", "spec": {{"seed": 1,
                       "energy": {{"type": "ising", "side": 4, "coupling": {}}},
                       "evaluation": {{"metrics": [{{"type": "ess"}}, {{"type": "nll"}}]}}}}}})",
                                 name, coupling));
    write_atomically(folder / name / "evaluation.json", metrics);
  };
  write("a", 0.5, R"({"metrics": {"ess": {"importance": {"value": 0.5}}}})");
  write("b", 0.25, R"({"metrics": {"ess": {"importance": {"value": 0.9}}}})");
  const auto runs = [&](const std::string& arguments) {
    return run_marginalia(fmt::format("runs '{}' --json {}", folder.path().string(), arguments));
  };
  const auto paths = [&](const std::string& arguments) {
    const auto result = runs(arguments);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    std::string names;
    for (const auto* name : {"a", "b"})
      if (has(result.out, (folder / name).string() + "\"")) names += name;
    return names;
  };
  CHECK(paths("--where energy.side!=3") == "ab");
  CHECK(paths("--where energy.coupling=.5") == "a");
  CHECK(paths("--where energy.side=4.0 --sort spec.energy.coupling") == "ab");
  CHECK(paths("--where 'ess/importance>.6' --columns energy.coupling,started") == "b");
  // What runs will have when they have ended, and a metric that they were asked for.
  CHECK(paths("--sort train_seconds --where nll/one_pass!=3") == "ab");
  const auto refused = [&](const std::string& arguments, const std::string& message) {
    const auto result = runs(arguments);
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(has(result.err, message));
  };
  refused("--where enrgy.side!=3", "no run here has \"enrgy.side\"; did you mean \"energy.side\"?");
  refused("--where side=4", "no run here has \"side\"; did you mean \"energy.side\"?");
  refused("--sort ess/importanse",
          "no run here has \"ess/importanse\"; did you mean \"ess/importance\"?");
  refused("--columns startd", "no run here has \"startd\"; did you mean \"started\"?");
  refused("--where 'kl~/0>1'", "no run here has \"kl~/0\"");
  const test::TempDir none;
  CHECK(run_marginalia(fmt::format("runs '{}' --sort enrgy.side", none.path().string())).code == 0);
}

#if defined(__x86_64__)
TEST_CASE("OpenBLAS takes no processor with AVX2 for one without") {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    test::skip("this processor has no AVX2");
    return;
  }
  const auto told =
      run_shell(fmt::format("env -u OPENBLAS_CORETYPE '{}' doctor", MARGINALIA_PROGRAM)).out;
  if (!has(told, "OpenBLAS")) {
    test::skip("the BLAS here is no OpenBLAS");
    return;
  }
  CHECK((has(told, "Haswell kernels") || has(told, "SkylakeX kernels")));
}
#endif
