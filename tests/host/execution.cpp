#include <atomic>
#include <map>
#include <thread>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "host/execution/answer.h"
#include "host/execution/run.h"
#include "host/execution/study_runner.h"
#include "marginalia_test.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

Json spec(int seed) {
  return Json::parse(R"({"marginalia": 1, "device": "cpu",
    "energy": {"type": "ising", "side": 3},
    "network": {"type": "lattice_conv", "channels": 4, "depth": 1, "prior": "local"},
    "family": {"type": "mam", "label_sweeps": 2, "chain": {"count": 32, "burn_in": 3}},
    "training": {"steps": 40, "batch_size": 16, "precision": "float32", "log_every_steps": 5,
                 "checkpoint": {"every_steps": 10}},
    "evaluation": {"metrics": ["log_z", "kl_reverse"], "rows": 64, "samples": 4}})")
      .patch(Json::parse(R"([{"op": "add", "path": "/seed", "value": )" + std::to_string(seed) +
                         "}]"));
}

Environment environment() {
  return {.registry = test::loaded_registry(), .device = "cpu", .threads = 1};
}

RunRequest request(const fs::path& folder, int seed) {
  return {Spec::from_text(spec(seed).dump(), "spec.json"), folder};
}

/// The numbers of a run: what was measured, without the time it took.
Json numbers(Json evaluation) {
  evaluation.erase("seconds");
  for (auto& [name, figures] : evaluation["metrics"].items())
    for (auto& [estimator, figure] : figures.items())
      figure.erase("seconds");
  return evaluation;
}

TEST_CASE("a run trains, is interrupted, goes on, is asked and measured in one process") {
  const test::TempDir folder;
  const auto whole = run(request(folder / "whole", 1), environment());
  CHECK(whole.outcome == Outcome::kFinished);
  CHECK(whole.step == 40);
  CHECK(fs::exists(folder / "whole/report.html"));

  std::atomic<bool> stop{false};
  bool trained = false;
  std::string begun;
  Hooks hooks{.stop = &stop};
  hooks.begun = [&](const fs::path& at) { begun = at.string(); };
  hooks.progress = [&](const TrainingState& state, const TrainingParams&, double, double) {
    stop = state.step >= 15;
  };
  hooks.trained = [&] { trained = true; };
  const auto part = run(request(folder / "parts", 1), environment(), hooks);
  CHECK(part.outcome == Outcome::kInterrupted);
  CHECK(part.step == 15);
  CHECK(part.evaluation.is_null());
  CHECK(begun == (folder / "parts").string());
  CHECK_FALSE(trained);

  const auto rest = resume({folder / "parts"}, environment());
  CHECK(rest.outcome == Outcome::kFinished);
  CHECK(rest.step == 40);
  CHECK(numbers(rest.evaluation) == numbers(whole.evaluation));

  std::vector<std::string> said;
  hooks = {.say = [&](const std::string& text) { said.push_back(text); }};
  CHECK(resume({folder / "parts"}, environment(), hooks).evaluation.is_null());
  CHECK(said ==
        std::vector<std::string>{(folder / "parts").string() + ": is finished; nothing to do"});

  auto measured = measure({folder / "parts", "", {"log_z"}}, environment());
  CHECK(measured.at("metrics").size() == 1);
  const auto kept = Json::parse(read_text(folder / "parts/evaluation.json"));
  CHECK(kept.at("metrics").size() == 2);

  const auto open = open_run(folder / "parts", "", environment());
  CHECK(open.step == 40);
  const auto x = torch::tensor({{1, -1, 0, -1, -1, -1, -1, -1, 1}}, torch::kLong);
  Stream stream(1, "asked");
  const Answers learned(open, "one_pass"), exact(open, "exact");
  const auto p = learned({.partial = x}, stream), truth = exact({.partial = x}, stream);
  CHECK(p.estimator == "one_pass");
  CHECK(truth.status == Status::kExact);
  CHECK(p.value.item<double>() == doctest::Approx(truth.value.item<double>()).epsilon(0.2));
  CHECK(test::refusal([&] {
          const Answers wrong(open, "one_past");
          wrong({.partial = x}, stream);
        }).find("did you mean \"one_pass\"?") != std::string::npos);
}

TEST_CASE("two runs at once on threads of their own have the numbers of each alone") {
  const test::TempDir folder;
  std::map<int, Json> alone, at_once;
  for (const int seed : {1, 2})
    alone[seed] = numbers(
        run(request(folder / fmt::format("alone{}", seed), seed), environment()).evaluation);
  for (const int seed : {1, 2})
    at_once[seed];  // the map is not changed by the threads
  {
    std::vector<std::jthread> threads;
    for (const int seed : {1, 2})
      threads.emplace_back([&, seed] {
        at_once[seed] = numbers(
            run(request(folder / fmt::format("both{}", seed), seed), environment()).evaluation);
      });
  }
  for (const int seed : {1, 2})
    CHECK(at_once[seed] == alone[seed]);
  CHECK(alone[1] != alone[2]);
}

TEST_CASE("a study runs in this process, and goes on where it was stopped") {
  const test::TempDir folder;
  Json manifest{{"marginalia_study", 1}, {"base", spec(0)}, {"seeds", 3}};
  manifest["base"].erase("seed");
  write_atomically(folder / "s.json", manifest.dump());
  const StudyRequest request{
      .manifest = folder / "s.json", .folder = folder / "study", .at_once = 2};
  const auto here = environment();

  std::atomic<bool> stop{false};
  std::vector<std::string> said;
  Hooks hooks{.stop = &stop};
  hooks.say = [&](const std::string& text) {
    said.push_back(text);
    if (text.find("finished in") != std::string::npos) stop = true;
  };
  auto result = StudyRunner(request, here, hooks).run(in_this_process(here, hooks));
  CHECK_FALSE(result.complete);
  CHECK(result.finished >= 1);
  CHECK(result.failed == 0);

  stop = false;
  hooks.say = nullptr;
  StudyRunner again(request, here, hooks);
  CHECK(again.finished() == result.finished);
  result = again.run(in_this_process(here, hooks));
  CHECK(result.complete);
  CHECK(result.finished == 3);
  CHECK(result.comparison->experiments.size() == 3);
  for (const auto& plan : StudyRunner(request, here, hooks).plan())
    CHECK(plan.what == "skip: finished");
}

TEST_CASE("what fails stands in the record, and an interrupted study says so") {
  const test::TempDir folder;
  auto broken = spec(1);
  broken["training"]["optimizer"] = {{"learning_rate", 1e30}};
  const RunRequest request{Spec::from_text(broken.dump(), "spec.json"), folder / "broken"};
  const auto why = test::refusal([&] { run(request, environment()); });
  CHECK(why.find("at step") != std::string::npos);
  const auto record = Json::parse(read_text(folder / "broken/run.json"));
  CHECK(record.at("status") == "failed");
  CHECK(record.at("error") == why);
}

}  // namespace
