// What Experiment::check and Experiment::build accept and refuse.
#include "toy.h"

#include <fmt/format.h>

using namespace marginalia;
using namespace marginalia::test::toy;

namespace {

/// What `check` says of a whole experiment; "accepted" when it finds no fault.
std::string check_spec(const Spec& spec) {
  return test::refusal([&] {
    Faults faults;
    Experiment::check(spec, test::toy::registry(), faults);
    faults.throw_if_any();
  });
}

Json resolved(const Spec& spec, const Registry& registry) {
  Faults faults;
  auto json = Experiment::check(spec, registry, faults);
  faults.throw_if_any();
  return json;
}

constexpr const char* kSound = R"({"marginalia": 2, "energy": {"type": "toy"},
  "network": {"type": "flat"}, "family": {"type": "idle"}})";

TEST_CASE("an experiment's faults come all at once, across its parts") {
  const auto spec = parsed(R"({"marginalia": 3, "sed": 1, "seed": -1, "note": 3, "device": 4,
    "energy": {"type": "toyy"},
    "network": {"conditonal": {"type": "flat", "width": 0}, "marginal": {"type": "flatt"}},
    "family": {"type": "idle", "marginal": 1},
    "training": {"steps": -1, "optimizer": {"type": "adamm"}},
    "evaluation": {"metrics": ["ones"], "rows": "al"}})");
  CHECK(check_spec(spec) ==
        "spec.json: /: \"sed\" is not a key of a spec; did you mean \"seed\"?\n"
        "  it takes: marginalia, note, seed, device, dataset, energy, prior, network, family, "
        "training, "
        "evaluation\n"
        "spec.json: /: \"marginalia\" must be 2, or 1, not 3\n"
        "spec.json: /: \"seed\" must be an integer >= 0, not -1\n"
        "spec.json: /: \"note\" must be a string\n"
        "spec.json: /: \"device\" must be a string\n"
        "spec.json: /energy: no energy is called \"toyy\"; did you mean \"toy\"?\n"
        "  there is: toy\n"
        "spec.json: /network: no role is called \"conditonal\"; did you mean \"conditional\"?\n"
        "  there is: conditional, marginal\n"
        "spec.json: /network/conditonal: flat cannot be built\n"
        "  - \"width\" must be at least 1, not 0\n"
        "  it takes: width\n"
        "spec.json: /network/marginal: no network is called \"flatt\"; did you mean \"flat\"?\n"
        "  there is: flat\n"
        "spec.json: /family: idle cannot be built\n"
        "  - \"marginal\" must be true or false, not 1\n"
        "  it takes: marginal\n"
        "spec.json: /training: training cannot be built\n"
        "  - \"steps\" must be at least 0, not -1\n"
        "  - \"optimizer.type\" must be one of adam, adamw, sgd, not \"adamm\"; did you mean "
        "\"adam\"?\n"
        "  it takes: steps, batch_size, accumulate, clip_norm, moving_average, precision, init, "
        "log_every_steps, optimizer, schedule, anneal, budget, checkpoint, early_stopping\n"
        "spec.json: /evaluation/metrics/0: no metric is called \"ones\"; did you mean \"one\"?\n"
        "  there is: one\n"
        "spec.json: /evaluation: evaluation cannot be built\n"
        "  - \"rows\" must be an integer or \"all\", not \"al\"\n"
        "  it takes: metrics, rows, split, precision, order, samples, every_steps, every_rows, "
        "during, select, reference");
}

TEST_CASE("the best can be selected of what is measured in training alone") {
  const auto with = [](const std::string& more) {
    return check_spec(parsed(std::string(kSound).substr(0, std::string(kSound).size() - 1) + more));
  };
  CHECK(with(R"(, "evaluation": {"during": ["one"], "every_steps": 5,
                                 "select": {"metric": "one/a"}}})") == "accepted");
  CHECK(with(R"(, "evaluation": {"during": ["one"], "select": {"metric": "one/a"}}})") ==
        "spec.json: /: \"evaluation.select\" needs \"evaluation.every_steps\"");
  CHECK(with(R"(, "evaluation": {"every_steps": 5, "select": {"metric": "one/a"}}})") ==
        "spec.json: /: \"evaluation.select\": \"one\" is not in \"evaluation.during\"");
  CHECK(with(R"(, "training": {"early_stopping": {"patience": 2}}})") ==
        "spec.json: /: \"training.early_stopping\" needs \"evaluation.select\": what is to get "
        "better");
}

TEST_CASE("what every experiment needs is asked for") {
  CHECK(check_spec(parsed(kSound)) == "accepted");
  CHECK(check_spec(parsed("{}")) ==
        "spec.json: /: needs \"marginalia\": 2, the version of the format\n"
        "spec.json: /: needs an \"energy\" or a \"dataset\"\n"
        "spec.json: /: needs a \"family\"");
  CHECK(check_spec(parsed("[1]")) == "spec.json: /: a spec is a JSON object");
  CHECK(check_spec(parsed(kSound).with({"family.type=null"})) ==
        "spec.json: /family: needs \"type\"");
  CHECK(check_spec(parsed(kSound).with({"energy=toy"})) ==
        "spec.json: /energy: must be an object with \"type\", not \"toy\"");
  CHECK(check_spec(parsed(kSound).with({"family=null", "energy=null"})) ==
        "spec.json: /: needs an \"energy\" or a \"dataset\"\nspec.json: /: needs a \"family\"");
}

TEST_CASE("keys that a section has not are refused, \"type\" as well") {
  CHECK(check_spec(parsed(kSound).with({"training.type=adam"})) ==
        "spec.json: /training: training cannot be built\n"
        "  - \"type\" is not a parameter of training\n"
        "  it takes: steps, batch_size, accumulate, clip_norm, moving_average, precision, init, "
        "log_every_steps, optimizer, schedule, anneal, budget, checkpoint, early_stopping");
  CHECK(check_spec(parsed(kSound).with({"training=5"})) ==
        "spec.json: /training: training cannot be built\n"
        "  - must be an object, not 5\n"
        "  it takes: steps, batch_size, accumulate, clip_norm, moving_average, precision, init, "
        "log_every_steps, optimizer, schedule, anneal, budget, checkpoint, early_stopping");
}

TEST_CASE("a device that cannot be is refused before any work") {
  CHECK(check_spec(parsed(kSound).with({"device=gpu"})) ==
        "spec.json: /: \"device\" must be auto, cpu, cuda or cuda:N, not \"gpu\"");
  CHECK(check_spec(parsed(kSound).with({"device=cuda:1"})) == "accepted");  // may run elsewhere
}

TEST_CASE("a resolved experiment is complete, and resolves to itself") {
  const auto all = test::toy::registry();
  const auto spec = parsed(kSound).with({"note=\"why\"", "evaluation.metrics=[\"one\"]"});
  const auto first = resolved(spec, all);
  std::vector<std::string> keys;
  for (const auto& [key, _] : first.items())
    keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"marginalia", "note", "seed", "device", "energy",
                                         "network", "family", "training", "evaluation"});
  CHECK(first["seed"].is_null());  // drawn by the run, and recorded then
  CHECK(first["device"] == "auto");
  CHECK(first["training"]["optimizer"]["learning_rate"] == 0.001);
  CHECK(first["training"]["early_stopping"]["patience"] == 0);
  CHECK(first["evaluation"]["metrics"].dump() == R"([{"type":"one","power":1}])");
  CHECK(resolved(parsed(first.dump()), all).dump() == first.dump());
}

TEST_CASE("every component's example resolves to itself") {
  const auto& all = test::loaded_registry();
  for (const auto* d : all.descriptions()) {
    CAPTURE(d->kind);
    CAPTURE(d->name);
    auto json = Json::parse(d->example);
    json["type"] = d->name;
    Faults faults;
    const auto first = all.check(d->kind, parsed(json.dump()), faults);
    const auto second = all.check(d->kind, parsed(first.dump()), faults);
    CHECK(test::refusal([&] { faults.throw_if_any(); }) == "accepted");
    CHECK(first.dump() == second.dump());
  }
}

TEST_CASE("an experiment draws its seed where none is given, and keeps one that is") {
  const auto all = test::toy::registry();
  CHECK(Experiment(parsed(kSound).with({"seed=7"}), all, "cpu").seed == 7);
  const Experiment drawn(parsed(kSound), all, "cpu");
  CHECK(drawn.resolved["seed"] == drawn.seed);
}

TEST_CASE("parts that do not fit each other are refused when the experiment is built") {
  const auto all = test::toy::registry();
  const auto build = [&](const std::vector<std::string>& settings) {
    return test::refusal([&] { Experiment(parsed(kSound).with(settings), all, "cpu"); });
  };
  CHECK(build({}) == "accepted");
  CHECK(build({"dataset={\"type\": \"pair\"}"}) ==
        "spec.json: /: dataset and energy must have one state space; dataset pair (plugin host) "
        "has 2 variables, energy toy (plugin host) has 3");
  CHECK(build({"dataset={\"type\": \"pair\"}", "energy.size=2"}) == "accepted");
  CHECK(build({"network=null"}) ==
        "family idle (plugin host): needs a \"network\" with the heads logits");
  CHECK(build({"network={\"conditional\": {\"type\": \"flat\"}}", "family.marginal=true"}) ==
        "family idle (plugin host): needs a network for the role \"marginal\"");
  CHECK(build({"family.marginal=true"}) ==
        "family idle (plugin host): network flat (plugin host) has no head log_marginal, which "
        "\"marginal\" needs; it computes logits");
}

TEST_CASE("a device is checked against the machine when the experiment is built") {
  const auto all = test::toy::registry();
  CHECK(test::refusal([&] { Experiment(parsed(kSound), all, "gpu"); }) ==
        "spec.json: /: \"device\" must be auto, cpu, cuda or cuda:N, not \"gpu\"");
  if (torch::hasCUDA()) return;
  CHECK(test::refusal([&] { Experiment(parsed(kSound), all, "cuda"); }) ==
        "spec.json: /: device \"cuda\": this LibTorch sees no CUDA device; use cpu or auto, and "
        "see marginalia doctor");
}

TEST_CASE("an estimator that a family lacks is refused with the nearest") {
  const auto all = test::toy::registry();
  const Experiment experiment(parsed(kSound), all, "cpu");
  Stream stream(0, "test");
  const auto ask = [&](QueryKind kind, const std::string& estimator) {
    return test::refusal([&] {
      experiment.family->answer({kind, torch::zeros({1, 3}, torch::kLong), {}, estimator}, stream);
    });
  };
  CHECK(ask(QueryKind::kLogMarginal, "") == "accepted");
  CHECK(ask(QueryKind::kLogMarginal, "gues") ==
        "family idle (plugin host): no estimator of log_marginal is called \"gues\"; did you mean "
        "\"guess\"?\n  there is: guess");
  CHECK(ask(QueryKind::kSample, "") == "family idle (plugin host) does not answer sample");
}

}  // namespace
