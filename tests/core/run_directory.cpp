#include <marginalia/files.h>
#include <marginalia/run_directory.h>

#include "marginalia_test.h"

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
