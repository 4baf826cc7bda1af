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
  for (const std::string verb : {"run", "resume", "check", "evaluate", "report", "marginals",
                                 "conditionals", "sample", "exact", "list", "describe", "doctor",
                                 "runs", "study", "reproduce", "data", "new", "molecules"}) {
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
