/// Studies as arrays of SLURM, by stand-ins for its programs.
#include <sstream>
#include <string>
#include <vector>

#include "small_study.h"

using namespace marginalia;
using test::call, test::count, test::has, test::kManifest, test::read_record, test::Result;
namespace fs = std::filesystem;

namespace {

void write_program(const fs::path& file, const std::string& lines) {
  write_atomically(file, "#!/bin/sh\n" + lines);
  fs::permissions(file, fs::perms::owner_all);
}

/// A folder with a study of four experiments and stand-ins: sbatch records what it is called with
/// and answers as the real one does, with ids from 1 on; scontrol tells `config`.
struct Cluster {
  test::TempDir folder;
  explicit Cluster(const std::string& config) {
    write_atomically(folder / "s.json", kManifest);
    write_program(folder / "sbatch", "printf '%s\\n' \"$*\" >> sbatch.calls\n"
                                     "wc -l < sbatch.calls | tr -d ' \\n'\necho ';cluster'\n");
    write_program(folder / "scontrol", "cat <<'E'\n" + config + "\nE\n");
  }
  Result study(const std::string& options, const std::string& out = "out") const {
    return call(folder.path(), "study s.json --out '" + out + "' --launcher slurm " + options,
                "PATH=.:$PATH");
  }
  std::string text(const std::string& name) const {
    auto text = read_text(folder / name);
    const auto here = folder.path().string() + "/out/slurm/";
    for (auto at = text.find(here); at != text.npos; at = text.find(here))
      text.erase(at, here.size());
    return text;
  }
  /// How sbatch was called, each call in a line.
  std::vector<std::string> calls() const {
    std::vector<std::string> lines;
    std::istringstream in(text("sbatch.calls"));
    for (std::string line; std::getline(in, line);)
      lines.push_back(line);
    return lines;
  }
};

TEST_CASE("the SLURM script is the recorded one, is handed to sbatch, and runs an experiment") {
  const test::TempDir folder;
  write_atomically(folder / "s.json", kManifest);
  // A stand-in for sbatch: records what it is called with, answers as the real one does.
  write_atomically(folder / "sbatch",
                   "#!/bin/sh\nprintf '%s\\n' \"$*\" >> sbatch.calls\necho '4711;cluster'\n");
  fs::permissions(folder / "sbatch", fs::perms::owner_all);
  const auto result =
      call(folder.path(),
           "study s.json --out out --launcher slurm --jobs 3 --threads 1 --slurm=--time=00:10:00",
           "PATH=.:$PATH");
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out == "4711\n");
  CHECK(has(result.err, "precision: float32, which every node has"));
  CHECK(Json::parse(read_text(folder / "out/study.json")).at("precision") == "float32");
  const auto simplified = [&](std::string text) {
    for (const auto& [what, by] : {std::pair{fs::canonical(MARGINALIA_PROGRAM).string(), "PROGRAM"},
                                   {folder.path().string(), "FOLDER"}})
      for (auto at = text.find(what); at != text.npos; at = text.find(what))
        text.replace(at, what.size(), by);
    return text;
  };
  for (const auto* script : {"job.sh", "report.sh"})
    CHECK(simplified(read_text(folder / "out/slurm" / script)) ==
          read_text(fs::path(MARGINALIA_TEST_DATA) / "slurm" / script));
  CHECK(simplified(read_text(folder / "sbatch.calls")) ==
        read_text(fs::path(MARGINALIA_TEST_DATA) / "slurm" / "calls.txt"));

  const auto task =
      fmt::format("cd '{0}' && SLURM_ARRAY_TASK_ID=2 bash out/slurm/job.sh 2> task.err",
                  folder.path().string());
  CHECK(std::system(task.c_str()) == 0);
  CHECK(read_record(folder / "out/runs/short-seed0").at("status") == "finished");
  CHECK_FALSE(fs::exists(folder / "out/runs/full-seed0"));
  CHECK(has(call(folder.path(), "report out").err, ""));
  CHECK(
      has(read_text(folder / "out/comparison.md"), "not run: full-seed0, full-seed1, short-seed1"));

  const auto nowhere = call(folder.path(), "study s.json --out out --launcher slurm", "PATH=/none");
  CHECK(nowhere.code == 1);
  CHECK(has(nowhere.err, "sbatch: no such program in $PATH; the job script stands in "));
}

TEST_CASE("a study that is longer than SLURM's arrays may be is several of them") {
  const Cluster cluster("ControlAddr = [here]:6817\nMaxArraySize            = 3\nMaxDBDMsgs = 20");
  const auto result = cluster.study("");
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out == "1\n2\n");
  CHECK(has(result.err, "submitted as jobs 1, 2: 4 tasks; the comparison follows"));
  CHECK(cluster.calls() ==
        std::vector<std::string>{"--parsable job-1.sh", "--parsable job-2.sh",
                                 "--parsable --dependency=afterany:1:2 report.sh"});
  const auto first = cluster.text("out/slurm/job-1.sh"),
             second = cluster.text("out/slurm/job-2.sh");
  CHECK(has(first, "#SBATCH --array=0-2\n"));
  CHECK(has(second, "#SBATCH --array=0-0\n"));
  CHECK(count(first, "exec") == 4);  // three tasks, and the comment
  CHECK(has(second, "0) exec "));
  CHECK(has(second, "'short-seed1'"));
  const auto shown = cluster.study("--dry-run");
  CHECK(count(shown.out, "#SBATCH --array=") == 2);

  const auto task = fmt::format("cd '{0}' && SLURM_ARRAY_TASK_ID=0 bash out/slurm/job-2.sh 2> err",
                                cluster.folder.path().string());
  CHECK(std::system(task.c_str()) == 0);
  CHECK(read_record(cluster.folder / "out/runs/short-seed1").at("status") == "finished");
}

TEST_CASE("tasks at a time are limited over all arrays: each waits for the one before") {
  const Cluster cluster("MaxArraySize = 2");
  REQUIRE(cluster.study("--jobs 1").code == 0);
  CHECK(cluster.calls() == std::vector<std::string>{
                               "--parsable job-1.sh", "--parsable --dependency=afterany:1 job-2.sh",
                               "--parsable --dependency=afterany:1:2 report.sh"});
  for (const auto* script : {"out/slurm/job-1.sh", "out/slurm/job-2.sh"})
    CHECK(has(cluster.text(script), "#SBATCH --array=0-1%1\n"));
}

TEST_CASE("a folder's name may have what a line for sbatch takes for something else") {
  const Cluster cluster("");
  REQUIRE(cluster.study("", "it is \"5\" %A").code == 0);
  for (const std::string file : {"job.sh", "report.sh"})
    CHECK(has(read_text(cluster.folder / "it is \"5\" %A/slurm" / file),
              R"(/it is \"5\" %%A/slurm/)"));
}

TEST_CASE("where SLURM does not tell how long arrays may be, its own default holds") {
  for (const std::string lines : {"echo 'MaxArraySize = (null)'", "exit 1"}) {
    const Cluster cluster("");
    write_program(cluster.folder / "scontrol", lines + "\n");
    auto manifest = Json::parse(kManifest);
    manifest["seeds"] = 501;  // of two variants
    write_atomically(cluster.folder / "s.json", manifest.dump());
    const auto shown = cluster.study("--dry-run");
    CAPTURE(shown.err);
    CHECK(shown.code == 0);
    CHECK(has(shown.out, "#SBATCH --array=0-1000\n"));
    CHECK(has(shown.out, "#SBATCH --array=0-0\n"));
  }
}

TEST_CASE("what SLURM refuses is told with what is left to do") {
  const Cluster none("MaxArraySize = 0");
  const auto refused = none.study("");
  CHECK(refused.code == 2);
  CHECK(has(refused.err, "its MaxArraySize is 0"));
  CHECK_FALSE(fs::exists(none.folder / "out"));
  CHECK_FALSE(fs::exists(none.folder / "sbatch.calls"));

  const Cluster full("MaxArraySize = 2");
  write_program(full.folder / "sbatch", "[ -e first ] && exit 1\ntouch first\necho 4711\n");
  const auto half = full.study("");
  CHECK(half.code == 1);
  CHECK(has(half.err, "sbatch ended with exit status 1; the job script stands in "));
  CHECK(has(half.err, "job-2.sh: submit it where SLURM is; submitted already: 4711"));
}

}  // namespace
