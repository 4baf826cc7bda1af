// The files that an energy is made of: which they are, and what is said when they change.
#include "marginalia_test.h"

#include <fstream>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/experiment/energy_identity.h"
#include "host/experiment/experiment.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// A sum of two energies in a folder of its own: a program with its script, and couplings under a
/// condition, both of files. "ids", a word of the spec, is the name of a file that nothing reads.
struct Made {
  test::TempDir folder, data;
  const Registry& registry = test::loaded_registry();
  DataPaths paths{folder.path(), data.path()};
  Json experiment{{"energy", Json::object()}};

  Made() {
    write("reward.sh", "while read x; do echo 0; done\n");
    write("given.jsonl", R"({"x": [0, null, null]})");
    write("ids", "");
    write_atomically(data / "graph.txt", "3 2\n1 2 0.5\n2 3 -0.5\n");
    const auto spec = Spec::from_text(R"({"type": "sum", "energies": [
          {"type": "command", "command": ["sh", "reward.sh", "ids.txt"], "input": "ids",
           "space": {"variables": 3, "levels": 2}},
          {"type": "constrained", "file": "given.jsonl",
           "energy": {"type": "ising", "graph": "graph.txt"}}]})",
                                      "spec.json", paths);
    Faults faults;
    experiment["energy"] = registry.check("energy", spec, faults);
    faults.throw_if_any();
  }
  void write(const std::string& name, const std::string& text) const {
    write_atomically(folder / name, text);
  }
  Json digests() const { return digests_of_energy(experiment, paths, registry); }
};

}  // namespace

TEST_CASE("the files of an energy are those that its parameters name, and no other words") {
  const Made made;
  const auto files = files_of_energy(made.experiment["energy"], made.paths, made.registry);
  REQUIRE(files.size() == 3);
  CHECK(files[0].parameter == "/energies/0/command/1");
  CHECK(fs::equivalent(files[0].path, made.folder / "reward.sh"));
  CHECK(files[1].parameter == "/energies/1/energy/graph");
  CHECK(fs::equivalent(files[1].path, made.data / "graph.txt"));
  CHECK(files[2].parameter == "/energies/1/file");
  CHECK(fs::equivalent(files[2].path, made.folder / "given.jsonl"));
  // Packed, it is read all the same.
  fs::rename(made.data / "graph.txt", made.data / "graph.txt.gz");
  CHECK(files_of_energy(made.experiment["energy"], made.paths, made.registry)[1].path ==
        made.data / "graph.txt.gz");
}

TEST_CASE("digests of an energy's files tell which has changed, or is gone") {
  const Made made;
  const auto before = made.digests();
  CHECK(before.at("/energies/1/file").at("sha256") == sha256_hex(R"({"x": [0, null, null]})"));
  made.write("ids", "written to, and read by none");
  CHECK(changed_files(before, made.digests()).empty());
  made.write("reward.sh", "while read x; do echo 1; done\n");
  fs::remove(made.data / "graph.txt");
  const auto changed = changed_files(before, made.digests());
  REQUIRE(changed.size() == 2);
  CHECK(changed[0] == fmt::format("{} (sha256 {}... then, {}... now)",
                                  before.at("/energies/0/command/1").at("file").get<std::string>(),
                                  sha256_hex("while read x; do echo 0; done\n").substr(0, 12),
                                  sha256_hex("while read x; do echo 1; done\n").substr(0, 12)));
  CHECK(changed[1].starts_with((made.data / "graph.txt").string()));
  CHECK(changed[1].ends_with("... then, gone now)"));
  CHECK(changed_files(Json::object(), made.digests()).empty());  // of a run that recorded none
  CHECK(digests_of_energy({{"dataset", "of rows"}}, made.paths, made.registry).empty());
}

TEST_CASE("an energy's identity has its files by content") {
  const Made made;
  const auto energy = test::make<Energy>(R"({"type": "ising", "side": 3})");
  const auto identity = [&] {
    return compute_identity(*energy, made.experiment["energy"], made.paths, made.registry)
        .at("energy");
  };
  const auto before = identity();
  CHECK(before.at("energies")[0].at("command")[1] ==
        "sha256:" + sha256_hex("while read x; do echo 0; done\n"));
  CHECK(before.at("energies")[0].at("input") == "ids");
  made.write("given.jsonl", R"({"x": [1, null, null]})");
  CHECK(identity() != before);
}

TEST_CASE("packed files of one name in two places make two identities, beside the spec too") {
  const Made made;
  const auto energy = test::make<Energy>(R"({"type": "ising", "side": 3})");
  const auto graph_in = [&](const DataPaths& paths) {
    return compute_identity(*energy, made.experiment["energy"], paths, made.registry)
        .at("energy")
        .at("energies")[1]
        .at("energy")
        .at("graph");
  };
  const test::TempDir other, beside;
  fs::rename(made.data / "graph.txt", made.data / "graph.txt.gz");
  write_atomically(other / "graph.txt.gz", "3 1\n1 2 1\n");
  write_atomically(beside / "graph.txt.zip", "3 1\n1 3 1\n");
  const auto one = graph_in(made.paths), two = graph_in({made.folder.path(), other.path()}),
             three = graph_in({beside.path(), other.path()});
  CHECK(one == "sha256:" + sha256_hex("3 2\n1 2 0.5\n2 3 -0.5\n"));
  CHECK(two == "sha256:" + sha256_hex("3 1\n1 2 1\n"));
  CHECK(three == "sha256:" + sha256_hex("3 1\n1 3 1\n"));
}
