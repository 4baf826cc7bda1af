#include <set>

#include <marginalia/files.h>

#include "marginalia_test.h"
#include "records/runs/run_directory.h"

using namespace marginalia;

TEST_CASE("an existing run directory is refused, and with force set aside whole") {
  test::TempDir folder;
  const auto path = folder / "run";
  {
    auto run = RunDirectory::create(path, false);
    run.set_record({{"name", "first"}});
  }
  CHECK(test::refusal([&] { RunDirectory::create(path, false); }) ==
        path.string() + ": exists already; choose another --out, go on with marginalia resume, or "
                        "give --force to set it aside");
  RunDirectory::create(path, true);
  CHECK(RunDirectory::open(folder / "run.old", false).record().at("name") == "first");
  CHECK_FALSE(std::filesystem::exists(path / "run.json"));
}

TEST_CASE("a run is called as its spec, and as its folder too where another has a spec so called") {
  test::TempDir folder;
  for (const auto* spec : {"mnist/cpu.json", "mnist/arm.json", "text8/cpu.json"}) {
    std::filesystem::create_directories((folder / spec).parent_path());
    write_atomically(folder / spec, "{}");
  }
  const auto name = [&](const std::string& spec) {
    return RunDirectory::usual_name(folder / spec, folder.path());
  };
  CHECK(name("mnist/cpu.json") == "mnist-cpu");
  CHECK(name("text8/cpu.json") == "text8-cpu");
  CHECK(name("text8/../mnist/cpu.json") == "mnist-cpu");
  CHECK(name("mnist/arm.json") == "arm");
  CHECK(RunDirectory::usual_name(folder / "mnist/cpu.json", folder / "mnist") == "cpu");
  std::filesystem::create_directory_symlink("mnist", folder / "digits");  // the same spec twice
  CHECK(name("digits/arm.json") == "arm");
}

/// The runs that the specs of experiments start from are those that others of them leave.
TEST_CASE("what a shipped spec starts from is the usual run of another") {
  std::set<std::string> runs, starts;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(MARGINALIA_EXPERIMENTS)) {
    if (entry.path().extension() != ".json") continue;
    auto name = RunDirectory::usual_name(entry.path(), MARGINALIA_DOCS);
    CHECK_MESSAGE(runs.insert("runs/" + name).second, name);
    const auto spec = Json::parse(read_text(entry.path()), nullptr, true, true).flatten();
    for (const auto& [key, value] : spec.items())
      if (key.ends_with("init")) starts.insert(value.get<std::string>());
  }
  CHECK(starts.contains("runs/mnist-cpu"));
  for (const auto& start : starts)
    CHECK_MESSAGE((start.empty() || runs.contains(start)), start);
}

TEST_CASE("a run directory has one writer") {
  test::TempDir folder;
  auto run = RunDirectory::create(folder / "run", false);
  run.set_record({{"name", "first"}});
  CHECK(test::refusal([&] { RunDirectory::open(folder / "run", true); }) ==
        (folder / "run").string() +
            ": another process is running this; wait for it, or give --out");
  CHECK(RunDirectory::open(folder / "run", false).record().at("name") == "first");
}

TEST_CASE("a metrics log goes on after the checkpoint's step, without later lines or a torn one") {
  test::TempDir folder;
  write_atomically(
      folder / "metrics.jsonl",
      "{\"step\":1,\"a\":1.0}\n{\"step\":2,\"a\":2.0}\n{\"step\":3,\"a\":3.0}\n{\"ste");
  {
    MetricsLog log(folder.path(), 2);
    log.add(3, 1.5, {{"a", 4.0}});
  }
  CHECK(read_text(folder / "metrics.jsonl") ==
        "{\"step\":1,\"a\":1.0}\n{\"step\":2,\"a\":2.0}\n{\"step\":3,\"seconds\":1.5,\"a\":4.0}\n");
}
