// Specs and manifests of format 1: what they are today, and that their finished runs are known
// again.
#include "toy.h"

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/experiment/upgrade.h"
#include "host/study/older_runs.h"
#include "host/study/read_study.h"
#include "host/study/upgrade_study.h"
#include "records/runs/run_directory.h"
#include "records/study/study_directory.h"

using namespace marginalia;

namespace {

/// log f = 0. In format 1 "speed" stood beside "pace": rest or run.
class Moving final : public Energy {
 public:
  static constexpr const char* kName = "moving";
  static constexpr const char* kSummary = "moves";
  struct Rest : NoParams {
    static constexpr const char* kName = "rest";
    static constexpr const char* kDoc = "not at all";
  };
  struct Run {
    static constexpr const char* kName = "run";
    static constexpr const char* kDoc = "fast";
    double speed = 3;
    std::int64_t legs = 2;
    void visit(ParamVisitor& p) {
      p("speed", speed, {.doc = "m/s"});
      p("legs", legs, {.doc = "to run on"});
    }
  };
  struct Params {
    std::variant<Rest, Run> pace;
    Child<Energy> inner;
    void visit(ParamVisitor& p) {
      p.choice("pace", pace, "how it moves");
      p("inner", inner, {.doc = "another one"});
    }
  };
  static Json upgrade(const Json& old, int) {
    auto now = old;
    const auto pace = old.value("pace", Json());
    for (const std::string key : {"speed", "legs"}) {
      if (!old.contains(key)) continue;
      if (pace == "rest" && key == "legs") throw SpecError("\"legs\" is for \"pace\": \"run\"");
      now.erase(key);
      if (pace == "rest") continue;
      if (!now.value("pace", Json()).is_object()) now["pace"] = Json{{"type", "run"}};
      now["pace"][key] = old.at(key);
    }
    return now;
  }
  explicit Moving(const Params&) {}
  const StateSpace& space() const override { return space_; }

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    return torch::zeros({x.size(0)}, torch::kDouble);
  }
  StateSpace space_ = StateSpace::uniform(2, 2);
};

Registry moving_registry() {
  auto all = test::toy::registry();
  all.add<Moving>();
  return all;
}

Json spec_with(const std::string& energy, int format = 1) {
  return Json::parse(fmt::format(R"({{"marginalia": {}, "seed": 1, "energy": {},
    "family": {{"type": "idle"}}, "network": {{"type": "flat"}}}})",
                                 format, energy));
}

Spec parsed(const Json& json) {
  return Spec::from_text(json.dump(), "spec.json");
}

struct Files {
  test::TempDir folder;
  std::filesystem::path manifest = folder / "study.json";
  Files(const Json& base, const std::string& rest) {
    write_atomically(folder / "base.json", base.dump());
    write_atomically(manifest,
                     fmt::format(R"({{"marginalia_study": 1, "base": "base.json", {}}})", rest));
  }
  Json upgraded() const { return upgraded_study(manifest, {}, moving_registry()); }
};

}  // namespace

TEST_CASE("a spec of format 1 is said in today's words, and stays as it is but for those") {
  const auto old = spec_with(
      R"({"type": "moving", "pace": "run", "speed": 4,
          "inner": {"type": "moving", "speed": 5}})");
  const auto now = upgraded(parsed(old), moving_registry());
  CHECK(now.json().at("marginalia") == 2);
  CHECK(now.json().at("energy").dump() ==
        R"({"type":"moving","pace":{"type":"run","speed":4},)"
        R"("inner":{"type":"moving","pace":{"type":"run","speed":5}}})");
  CHECK(now.json().at("family") == old.at("family"));
  CHECK(upgraded(now, moving_registry()).json() == now.json());
}

TEST_CASE("what format 1 had no meaning for is refused with its place") {
  const auto inner =
      spec_with(R"({"type": "moving", "inner": {"type": "moving", "pace": "rest", "legs": 5}})");
  CHECK(test::refusal([&] { upgraded(parsed(inner), moving_registry()); }) ==
        "spec.json: /energy/inner: \"legs\" is for \"pace\": \"run\"");
  Faults faults;
  Experiment::check(parsed(inner), moving_registry(), faults);
  CHECK_FALSE(faults.empty());
}

TEST_CASE("settings are applied in the format of their base; an old key on today's is refused") {
  const auto old = spec_with(R"({"type": "moving"})");
  Faults faults;
  const auto resolved =
      Experiment::check(parsed(old).with({"energy.speed=7"}), moving_registry(), faults);
  faults.throw_if_any();
  CHECK(resolved.at("energy").at("pace").dump() == R"({"type":"run","speed":7.0,"legs":2})");
  CHECK(resolved.at("marginalia") == 2);
  const auto today = parsed(spec_with(R"({"type": "moving"})", 2)).with({"energy.speed=7"});
  Experiment::check(today, moving_registry(), faults);
  CHECK(test::refusal([&] { faults.throw_if_any(); }) ==
        "spec.json: /energy: \"speed\" of moving is of format 1; in format 2 write "
        R"({"pace":{"type":"run","speed":7}})");
}

TEST_CASE("a format that is not known is refused") {
  Faults faults;
  Experiment::check(parsed(spec_with(R"({"type": "moving"})", 3)), moving_registry(), faults);
  CHECK(test::refusal([&] { faults.throw_if_any(); }) ==
        "spec.json: /: \"marginalia\" must be 2, or 1, not 3");
}

TEST_CASE("a manifest's changes are said in today's words, whatever the format of its base") {
  for (const int format : {1, 2}) {
    CAPTURE(format);
    const Files files(spec_with(R"({"type": "moving"})", format), R"(
      "settings": {"training.steps": 5},
      "variants": {"a": {"energy.speed": 4, "seed": 3},
                   "b": {"energy": {"type": "moving", "speed": 5, "legs": 4}},
                   "c": {"energy.pace": "run"}, "d": {}})");
    const auto now = files.upgraded();
    CHECK(now.at("marginalia_study") == 2);
    CHECK(now.at("base") == "base.json");
    CHECK(now.at("settings").dump() == R"({"training.steps":5})");
    CHECK(now.at("variants").dump() ==
          R"({"a":{"energy.pace":{"type":"run","speed":4},"seed":3},)"
          R"("b":{"energy":{"type":"moving","pace":{"type":"run","speed":5,"legs":4}}},)"
          R"("c":{"energy.pace":"run"},"d":{}})");
  }
}

TEST_CASE("an axis becomes the one key that its values differ by") {
  const auto running = spec_with(R"({"type": "moving", "speed": 1})");
  const Files one(running, R"("grid": {"energy.speed": [4, 5], "seed": [1, 2]})");
  CHECK(one.upgraded().at("grid").dump() == R"({"energy.pace.speed":[4,5],"seed":[1,2]})");
  const Files start(spec_with(R"({"type": "moving"})"), R"("zip": {"energy.speed": [4, 5]})");
  CHECK(start.upgraded().at("zip").dump() ==
        R"({"energy.pace":[{"type":"run","speed":4},{"type":"run","speed":5}]})");
}

TEST_CASE("a run recorded in format 1 is one of today's experiments") {
  const Files files(spec_with(R"({"type": "moving", "speed": 4})"), R"("seeds": [1, 2])");
  auto study = read_study(files.manifest, {}, moving_registry(), 10);
  REQUIRE(study.experiments.size() == 2);
  auto recorded = study.experiments[1].spec;  // as format 1 resolved it
  recorded["marginalia"] = 1;
  recorded["energy"] = Json::parse(R"({"type": "moving", "pace": "run", "speed": 4.0, "legs": 2})");
  const Json run{
      {"spec", recorded}, {"spec_sha256", spec_hash(recorded)}, {"status", "interrupted"}};
  const auto folder = files.folder / "runs/runs/old_name";
  std::filesystem::create_directories(folder);
  write_atomically(folder / "run.json", run.dump());
  const StudyDirectory directory(files.folder / "runs");

  std::vector<std::string> unrelated;
  CHECK(directory.find(study, unrelated)[1].state == RunState::kAbsent);
  CHECK(unrelated.size() == 1);
  recognise_older_runs(study, directory.run_records(), moving_registry());
  unrelated.clear();
  const auto runs = directory.find(study, unrelated);
  CHECK(runs[0].state == RunState::kAbsent);
  CHECK(runs[1].state == RunState::kUnfinished);
  CHECK(runs[1].folder == folder);
  CHECK(unrelated.empty());
  // study.json keeps it, for who has no registry
  const auto kept = study_from_json(to_json(study), "study.json");
  CHECK(directory.find(kept, unrelated)[1].state == RunState::kUnfinished);
}
