// How a manifest becomes experiments, and how their runs are found again.
#include "toy.h"

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/study/read_study.h"
#include "records/runs/run_directory.h"
#include "records/study/baselines.h"
#include "records/study/study_directory.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

constexpr const char* kBase = R"({"marginalia": 1, "note": "base", "seed": 5,
  "energy": {"type": "toy", "size": 4, "ratio": 0.5}, "network": {"type": "flat"},
  "family": {"type": "idle"}, "training": {"steps": 40, "batch_size": 8},
  "evaluation": {"metrics": ["one"]}})";

/// A folder with a base spec and a manifest.
struct Manifest {
  test::TempDir folder;
  fs::path file = folder / "study.json";
  explicit Manifest(const std::string& rest) {
    write_atomically(folder / "base.json", kBase);
    write_atomically(file, fmt::format(R"({{"marginalia_study": 1, {}}})", rest));
  }
  Study read(std::int64_t most = 1000) const {
    return read_study(file, {}, test::toy::registry(), most);
  }
  /// What it is refused with, the file's own name left out.
  std::string refused(std::int64_t most = 1000) const {
    auto text = test::refusal([&] { read(most); });
    for (auto at = text.find(file.string()); at != std::string::npos; at = text.find(file.string()))
      text = fmt::format("{}S{}", text.substr(0, at), text.substr(at + file.string().size()));
    return text;
  }
};

std::vector<std::string> names(const Study& study) {
  std::vector<std::string> all;
  for (const auto& e : study.experiments)
    all.push_back(e.name);
  return all;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("variants are crossed with the grid and the seeds, the last fastest") {
  const Manifest manifest(R"("base": "base.json",
    "variants": {"plain": {}, "wide": {"network": {"type": "flat", "width": 2}}},
    "grid": {"energy.size": [3, 4]}, "seeds": 2)");
  const auto study = manifest.read();
  CHECK(names(study) == Names{"plain-size3-seed0", "plain-size3-seed1", "plain-size4-seed0",
                              "plain-size4-seed1", "wide-size3-seed0", "wide-size3-seed1",
                              "wide-size4-seed0", "wide-size4-seed1"});
  const auto& e = study.experiments[5];
  CHECK(e.spec.at("energy").at("size") == 3);
  CHECK(e.spec.at("energy").at("ratio") == 0.5);  // the base's own
  CHECK(e.spec.at("network").at("width") == 2);
  CHECK(e.spec.at("seed") == 1);
  CHECK(e.row == "wide, size 3");
  CHECK(e.pair.dump() == R"({"seed":1})");
  CHECK(study.row_names() ==
        Names{"plain, size 3", "plain, size 4", "wide, size 3", "wide, size 4"});
}

TEST_CASE("a variant replaces a whole object, a dotted key one value, null removes") {
  const Manifest manifest(R"("base": "base.json", "variants": {
    "whole": {"energy": {"type": "toy"}}, "one": {"energy.size": 7},
    "fewer": {"energy": {"type": "toy", "size": 2}, "network": null, "note": null}})");
  const auto study = manifest.read();
  CHECK(study.experiments[0].spec.at("energy").at("ratio") == 0.25);  // the default again
  CHECK(study.experiments[1].spec.at("energy").at("ratio") == 0.5);
  CHECK(study.experiments[1].spec.at("energy").at("size") == 7);
  CHECK_FALSE(study.experiments[2].spec.contains("network"));
  CHECK(study.experiments[2].spec.at("seed") == 5);
}

TEST_CASE("seeds and names of variants may be written as numbers of any form") {
  const Manifest manifest(R"("base": "base.json", "variants": {"5": {"energy.size": 5.0}},
    "experiments": [{"name": "listed", "variant": 5}], "seeds": [1.0, 2e1])");
  const auto study = manifest.read();
  CHECK(names(study) == Names{"5-seed1", "5-seed20", "listed"});
  CHECK(study.experiments[1].spec.at("seed").dump() == "20");
  CHECK(study.experiments[2].spec.at("energy").at("size").dump() == "5");
  CHECK(names(Manifest(R"("base": "base.json", "seeds": 2.0)").read()) ==
        Names{"base-seed0", "base-seed1"});
}

TEST_CASE("a zip is walked together, a list is crossed with nothing") {
  const Manifest manifest(R"("base": "base.json",
    "zip": {"energy.size": [2, 3], "training.steps": [10, 20]},
    "experiments": [{"name": "apart", "energy.size": 9, "seed": 3}])");
  const auto study = manifest.read();
  CHECK(names(study) == Names{"base-size2-steps10", "base-size3-steps20", "apart"});
  CHECK(study.experiments[1].spec.at("training").at("steps") == 20);
  CHECK(study.experiments[1].spec.at("energy").at("size") == 3);
  CHECK(study.experiments[2].spec.at("seed") == 3);
  CHECK(study.experiments[2].row == "apart, size 9");
  const Manifest alone(R"("base": "base.json", "experiments": [{"name": "a", "seed": 1},
                          {"name": "b", "seed": 2}])");
  CHECK(names(alone.read()) == Names{"a", "b"});
}

TEST_CASE("rows and pairs follow compare.rows") {
  const Manifest manifest(R"("base": "base.json", "variants": {"a": {}, "b": {"energy.flag": true}},
    "grid": {"energy.size": [2, 3], "seed": [0, 1]}, "compare": {"rows": "variant"})");
  const auto study = manifest.read();
  CHECK(study.row_names() == Names{"a", "b"});
  CHECK(study.experiments[1].pair == Json{{"seed", 1}, {"energy.size", 2}});
  const Manifest objects(R"("base": "base.json", "grid": {"network": [{"type": "flat", "width": 1},
                            {"type": "flat", "width": 2}]})");
  CHECK(objects.read().row_names() == Names{"network flat", "network flat (2)"});
  CHECK(names(objects.read()) == Names{"base-networkflat", "base-networkflat-2"});
  const Manifest alike(R"("base": "base.json", "grid": {"evaluation.metrics": [["one"]],
                          "energy.metrics": [[], ["one"]], "note": ["fast & slow"]})");
  CHECK(names(alike.read()) == Names{"base-evaluation_metrics0-energy_metrics0-notefast___slow",
                                     "base-evaluation_metrics0-energy_metrics1-notefast___slow"});
}

TEST_CASE("a budget is the limit, whatever steps the base has; those of the study itself hold") {
  const Manifest manifest(R"("base": "base.json", "budget": {"seconds": 60}, "variants": {
    "long": {}, "short": {"training.steps": 1}, "own": {"budget": {"steps": 7}}, "free": {"budget":
    null}})");
  const auto study = manifest.read();
  const auto training = [&](std::size_t i) { return study.experiments[i].spec.at("training"); };
  CHECK(training(0).at("steps") == 1'000'000'000);
  CHECK(training(0).at("budget").at("seconds") == 60);
  CHECK(training(0).at("batch_size") == 8);
  CHECK(training(1).at("steps") == 1);
  CHECK(training(1).at("budget").at("seconds") == 60);
  CHECK(training(2).at("steps") == 7);
  CHECK(training(2).at("budget").at("seconds") == 0);
  CHECK(training(3).at("steps") == 40);
  const Manifest swept(R"("base": "base.json", "grid": {"budget.passes": [100, 200]})");
  CHECK(swept.read().experiments[1].spec.at("training").at("budget").at("passes") == 200);
  CHECK(swept.read().row_names() == Names{"passes 100", "passes 200"});
}

TEST_CASE("faults of a manifest come all at once") {
  const Manifest manifest(R"("base": "nowhere.json", "seds": 3, "grid": {"seed": []},
    "zip": {"energy.size": [1, 2], "training.steps": [1]}, "seeds": 0,
    "variants": {"a b": {}, "c": null}, "experiments": [{"variant": "d"}],
    "compare": {"alpah": 0.1})");
  const auto keys = manifest.refused();
  CHECK(keys == "S: /: \"seds\" is not a key of a study; did you mean \"seeds\"?\n"
                "  it takes: marginalia_study, note, base, settings, variants, grid, zip, seeds, "
                "experiments, compare, budget");
  const Manifest deeper(R"("base": "nowhere.json", "grid": {"seed": []},
    "zip": {"energy.size": [1, 2], "training.steps": [1]}, "seeds": 0,
    "variants": {"a b": {}, "c": null}, "experiments": [{"variant": "d"}],
    "compare": {"alpah": 0.1})");
  CHECK(deeper.refused() ==
        fmt::format("S: /base: {}: cannot be read: No such file or directory\n"
                    "S: /grid: \"seed\" must be a list of values, not []\n"
                    "S: /zip: lists must be equally long and not empty; \"energy.size\" has 2, "
                    "\"training.steps\" has 1\n"
                    "S: /seeds: must be a number of seeds above 0 or a list of them, not 0\n"
                    "S: /variants: \"a b\" must be up to 64 letters, digits, - _ . and begin with "
                    "a letter or digit: it names folders\n"
                    "S: /variants: \"c\" must be an object of changes to the base, {{}} for none\n"
                    "S: /experiments/0: needs a \"name\"\n"
                    "S: /experiments/0: no variant is called \"d\"; did you mean \"c\"?\n  "
                    "there is: a b, c\n"
                    "S: /compare: /: compare cannot be built\n"
                    "  - \"alpah\" is not a parameter of compare; did you mean \"alpha\"?\n"
                    "  it takes: rows, columns, against, metrics, baseline, alpha, correct_within, "
                    "lower_is_better, higher_is_better, samples, scaling",
                    (deeper.folder / "nowhere.json").string()));
  CHECK(Manifest(R"("note": "no base")").refused() ==
        "S: /: needs \"base\": a spec, or the path of one from this file");
}

TEST_CASE("a fault of many experiments is said once") {
  const Manifest manifest(
      R"("base": "base.json", "grid": {"energy.siez": [1, 2], "seed": [0, 1]})");
  const auto text = manifest.refused();
  CHECK(text ==
        "S: /energy: toy cannot be built\n"
        "  - \"siez\" is not a parameter of toy; did you mean \"size\"?\n"
        "  it takes: flag, size, ratio, mode, sizes, rates, tags, weights, rows, file, base, "
        "metrics, inner\n"
        "  in base-siez1-seed0 and 3 more");
  const Manifest top(R"("base": "base.json", "grid": {"enrgy.size": [1]})");
  CHECK(top.refused().starts_with(
      "S: /: \"enrgy\" is not a key of a spec; did you mean \"energy\"?"));
  const Manifest deep(R"("base": "base.json", "grid": {"energy.size.x": [1]})");
  CHECK(deep.refused() ==
        "S: \"energy.size.x=1\": \"size\" is 4, not an object with keys of its own\n"
        "  in base-x1");
  const Manifest seedless(R"("base": {"marginalia": 1, "energy": {"type": "toy"},
                             "network": {"type": "flat"}, "family": {"type": "idle"}})");
  CHECK(seedless.refused() == "S: /: needs a \"seed\" in the base, or \"seeds\" of the study: "
                              "experiments are compared seed by seed\n  in study");
}

TEST_CASE("no experiments, too many, and one twice are refused") {
  CHECK(Manifest(R"("base": "base.json", "variants": {})").refused() ==
        "S: /: yields no experiments; name some variants, a grid, or a list");
  const Manifest many(R"("base": "base.json", "grid": {"energy.size": [1, 2, 3]}, "seeds": 4)");
  CHECK(many.refused(11) == "S: /: yields 12 experiments, more than 11; give --yes to run so many, "
                            "or see them with --dry-run");
  CHECK(many.read(12).experiments.size() == 12);
  const Manifest huge(R"("base": "base.json", "grid": {"a": [1,2,3,4,5,6,7,8,9,0],
    "b": [1,2,3,4,5,6,7,8,9,0], "c": [1,2,3,4,5,6,7,8,9,0], "d": [1,2,3,4,5,6,7,8,9,0]},
    "seeds": 100000)");
  CHECK(huge.refused(INT64_MAX) ==
        "S: /: yields 1000000000 experiments, and no study may have more than 100000");
  CHECK(Manifest(R"("base": "base.json", "variants": {"a": {}, "b": {"energy.size": 4}})")
            .refused() == "S: /: a and b are one experiment: their resolved specs are the same; "
                          "leave one out");
  CHECK(Manifest(R"("base": "base.json", "grid": {"energy.size": [1, 2]},
                    "compare": {"rows": "variant"}, "variants": {"a": {}})")
            .read()
            .row_names() == Names{"a"});
}

TEST_CASE("what is compared must be there") {
  CHECK(
      Manifest(R"("base": "base.json", "seeds": 2, "compare": {"rows": ["varaint"]})").refused() ==
      "S: /compare: \"rows\": no key that varies is called \"varaint\"; did you mean "
      "\"variant\"?\n  there is: variant, seed");
  CHECK(Manifest(R"("base": "base.json", "variants": {"a": {}, "b": {"energy.flag": true}},
                    "compare": {"baseline": "A", "metrics": ["on", "seconds"]})")
            .refused() == "S: /compare: \"baseline\": no row or variant is called \"A\"; did you "
                          "mean \"a\"?\n"
                          "  there is: a, b\n"
                          "S: /compare: no metric that is measured here is called \"on\"; did you "
                          "mean \"one\"?\n  there is: parameters, steps, seconds, "
                          "energy_evaluations, passes, one");
  CHECK(Manifest(
            R"("base": "base.json", "experiments": [{"name": "a", "variant": "v", "energy.size": 3},
                    {"name": "b", "variant": "v", "energy.size": 2}], "variants": {"v": {}},
                    "compare": {"rows": "variant"})")
            .refused()
            .find("fall into one row, \"v\", at the same {\"seed\":5}; name in \"rows\" what sets "
                  "them apart") != std::string::npos);
}

TEST_CASE("a baseline is a row, or a variant of which each row has one") {
  const std::string grid =
      R"("base": "base.json", "variants": {"a": {}, "b": {"training.steps": 7}},
    "grid": {"energy.size": [3, 4], "network.width": [1, 2]}, "compare": {"baseline": )";
  const auto study = Manifest(grid + "\"a\"}").read();
  const auto all = baselines(study);
  CHECK(all.at("b, size 3, width 2").row == "a, size 3, width 2");
  CHECK(all.at("a, size 4, width 1").row == "a, size 4, width 1");
  const auto of_row = baselines(Manifest(grid + "\"a, size 3, width 2\"}").read());
  CHECK(of_row.at("b, size 3, width 1").row == "a, size 3, width 2");
  CHECK(of_row.at("b, size 4, width 2").row.empty());  // of another target

  const std::string several =
      R"("base": "base.json", "variants": {"a": {}, "b": {"training.steps": 7}},
    "zip": {"network.width": [1, 2], "training.batch_size": [3, 4]},
    "experiments": [{"name": "alone", "energy.size": 4}], "compare": {"baseline": )";
  CHECK(
      Manifest(several + "\"a\"}").refused() ==
      "S: /compare: \"baseline\": of \"a\" there are \"a, width 1\", \"a, width 2\" at the target "
      "of \"alone\"; give the full name of one");
  CHECK(
      Manifest(R"("base": "base.json", "variants": {"a": {}, "b": {"training.steps": 7}},
                    "grid": {"energy.size": [3, 4], "network.width": [1, 2]},
                    "compare": {"rows": ["network.width"], "baseline": "a"})")
          .refused()
          .find("the variant \"a\" has no row of its own; name \"variant\" in \"rows\", or a row: "
                "\"width 1\", \"width 2\"") != std::string::npos);
}

TEST_CASE("what metrics are drawn against makes no rows, varies, and is a number") {
  const auto manifest = [](const std::string& grid, const std::string& compare) {
    return Manifest(R"("base": "base.json", "variants": {"a": {}, "b": {"training.steps": 7}},
      "grid": {)" + grid +
                    R"(}, "compare": {)" + compare + "}");
  };
  CHECK(manifest(R"("energy.ratio": [0.1, 0.2])", R"("against": "energy.ratio")")
            .read()
            .row_names() == Names{"a", "b"});
  CHECK(manifest(R"("energy.mode": ["fast", "slow"])", R"("against": "energy.mode")").refused() ==
        "S: /compare: \"against\": \"energy.mode\" must be a number everywhere, not \"fast\" as in "
        "a-modefast");
  const auto none =
      manifest(R"("energy.ratio": [0.1, 0.2])", R"("against": "energy.ration")").refused();
  CHECK(none.find("\"against\": no key that varies within a row is called \"energy.ration\"") !=
        std::string::npos);
  const auto row = manifest(R"("energy.ratio": [0.1, 0.2])",
                            R"("rows": ["variant", "energy.ratio"], "against": "energy.ratio")");
  CHECK(row.refused().find("no key that varies within a row is called \"energy.ratio\"") !=
        std::string::npos);
}

TEST_CASE("the hash of a spec is that of what it asks for") {
  const auto a = Json::parse(R"({"seed": 1, "note": "x", "energy": {"type": "toy", "size": 3}})");
  const auto b = Json::parse(R"({"energy": {"size": 3, "type": "toy"}, "seed": 1, "note": "y"})");
  const auto c = Json::parse(R"({"energy": {"size": 4, "type": "toy"}, "seed": 1})");
  CHECK(spec_hash(a) == spec_hash(b));
  CHECK(spec_hash(a) != spec_hash(c));
  CHECK(spec_hash(a).size() == 64);
  CHECK(spec_hash(Json::parse(R"({"seed": 1})")) == sha256_hex(R"({"seed":1})"));
}

TEST_CASE("a study's record says all that is needed of it") {
  const Manifest manifest(R"("base": "base.json", "note": "why", "seeds": 2,
                             "compare": {"alpha": 0.01, "scaling": {"metric": "one/exact"}})");
  const auto study = manifest.read();
  const auto again = study_from_json(to_json(study), "study.json");
  CHECK(to_json(again).dump() == to_json(study).dump());
  CHECK(again.compare.alpha == 0.01);
  CHECK(again.compare.scaling.metric == "one/exact");
  CHECK(test::refusal([] {
          study_from_json(Json{{"a", 1}}, "x.json");
        }).starts_with("x.json: is not a record of a study"));
  CHECK(is_study(manifest.file));
  CHECK_FALSE(is_study(manifest.folder / "base.json"));
}

namespace {

/// A run directory as `marginalia run` leaves it.
void write_run(const fs::path& folder, const Json& spec, const std::string& status) {
  auto run = RunDirectory::create(folder, false);
  run.set_record({{"marginalia_run", 1},
                  {"spec", spec},
                  {"spec_sha256", spec_hash(spec)},
                  {"status", status}});
  run.write_evaluation({{"metrics", Json::object()}});
}

}  // namespace

TEST_CASE("runs are found by the hash of their spec, and what was altered is told") {
  const Manifest manifest(R"("base": "base.json", "seeds": 6)");
  const auto study = manifest.read();
  const StudyDirectory directory(manifest.folder / "out");
  CHECK_FALSE(directory.exists());
  directory.record(study);
  CHECK(directory.study().experiments[1].hash == study.experiments[1].hash);
  const auto runs = directory.path() / "runs";
  const auto spec = [&](std::size_t i) { return study.experiments[i].spec; };
  write_run(runs / "renamed", spec(0), "finished");
  write_run(runs / "base-seed1", spec(1), "interrupted");
  write_run(runs / "base-seed2", spec(2), "finished");
  write_run(runs / "base-seed3", spec(3), "finished");
  write_run(runs / "base-seed4", spec(0), "running");  // in the place of another
  fs::create_directories(runs / "base-seed5");         // a start that came to nothing

  auto edited = Json::parse(read_text(runs / "base-seed2" / "run.json"));
  edited["spec"]["energy"]["size"] = 6;
  write_atomically(runs / "base-seed2" / "run.json", edited.dump());
  write_atomically(runs / "base-seed3" / "evaluation.json", "{\"metrics\": {}}");
  fs::create_directories(runs / "torn");
  write_atomically(runs / "torn" / "run.json", "{\"spec\": ");

  std::vector<std::string> unrelated_runs;
  const auto found = directory.find(study, unrelated_runs);
  REQUIRE(found.size() == 6);
  CHECK(found[0].state == RunState::kFinished);
  CHECK(found[0].folder == runs / "renamed");
  CHECK(found[1].state == RunState::kUnfinished);
  CHECK(found[1].reason == "interrupted");
  CHECK(found[2].state == RunState::kAltered);
  CHECK(found[2].reason ==
        "the spec in run.json is not the one it was run from: energy/size is 6, not 4");
  CHECK(found[3].state == RunState::kAltered);
  CHECK(found[3].reason == "evaluation.json is not the one that was measured");
  CHECK(found[4].state == RunState::kAbsent);
  CHECK(found[4].folder == runs / "base-seed4-2");
  CHECK_FALSE(found[4].path_taken);
  CHECK(found[5].state == RunState::kAbsent);
  CHECK(found[5].path_taken);
  REQUIRE(unrelated_runs.size() == 2);
  CHECK(unrelated_runs[0] ==
        fmt::format("{}: is a second run of an experiment; the other is used; left "
                    "alone",
                    (runs / "base-seed4").string()));
  CHECK(unrelated_runs[1] ==
        fmt::format("{}: run.json is not a record of a run; left alone", (runs / "torn").string()));

  fs::remove(runs / "renamed" / "evaluation.json");
  unrelated_runs.clear();
  CHECK(directory.find(study, unrelated_runs)[0].reason == "evaluation.json is gone");
  const auto held = RunDirectory::open(runs / "base-seed1", true);
  CHECK(directory.find(study, unrelated_runs)[1].state == RunState::kRunning);
}

TEST_CASE("a folder that holds something else is not taken for a study") {
  const Manifest manifest(R"("base": "base.json")");
  const auto study = manifest.read();
  const auto refused = test::refusal([&] { StudyDirectory(manifest.folder.path()).record(study); });
  CHECK(refused == fmt::format("{}: is not empty and holds no study; choose another --out",
                               manifest.folder.path().string()));
  CHECK(test::refusal([&] { StudyDirectory(manifest.folder / "none").study(); }) ==
        fmt::format("{}: is not a study: it has no study.json that \"marginalia study\" wrote",
                    (manifest.folder / "none").string()));
}
