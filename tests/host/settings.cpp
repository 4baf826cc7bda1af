// Settings of the command line, read by the types of what they set; and the top of a spec, which
// every verb that reads one looks at.
#include "toy.h"

#include <fmt/format.h>

#include "host/experiment/settings.h"

using namespace marginalia;
using namespace marginalia::test::toy;

namespace {

constexpr const char* kPlainSpec = R"({"marginalia": 2, "energy": {"type": "toy"},
  "network": {"type": "flat"}, "family": {"type": "idle"}})";

Json set(const std::vector<std::string>& settings, const std::string& spec = kPlainSpec) {
  return with_settings(parsed(spec), settings, test::toy::registry()).json();
}

/// What is said of the energy alone, as `exact` asks for it.
std::string refuse_energy(const std::string& spec, const std::vector<std::string>& settings = {}) {
  return test::refusal([&] {
    const auto all = test::toy::registry();
    Experiment::make_energy(with_settings(parsed(spec), settings, all), all);
  });
}

/// The resolved seed, or what is said of it.
std::string read_seed(const std::string& seed) {
  std::string text;
  const auto fault = test::refusal([&] {
    Faults faults;
    const auto spec = parsed(kPlainSpec).with({"seed=" + seed});
    text = Experiment::check(spec, test::toy::registry(), faults).at("seed").dump();
    faults.throw_if_any();
  });
  return fault == "accepted" ? text : fault;
}

}  // namespace

TEST_CASE("what a text is set to stays as it is written, whatever it looks like") {
  for (const std::string word :
       {"1", "1.0", ".5", "1e3", "true", "[C][=C]", "[1, 2]", "{}", "007"}) {
    CAPTURE(word);
    CHECK(set({"energy.inner.rule=" + word}).at("energy").at("inner").at("rule") == word);
    CHECK(set({"energy.file=" + word}).at("energy").at("file") == word);
    CHECK(set({"note=" + word}).at("note") == word);
    CHECK(set({"training.init=" + word}).at("training").at("init") == word);
  }
  CHECK(set({R"(note="1")"}).at("note") == "1");  // JSON's own text
  CHECK_FALSE(set({"note=1", "note=null"}).contains("note"));
  // Of several settings of one place, or of one above it, the last holds.
  CHECK(set({"note=1", "note=2"}).at("note") == "2");
  CHECK(set({"energy.mode=1", R"(energy={"type": "toy", "mode": 2})"}).at("energy").at("mode") ==
        2);
  CHECK(set({R"(energy={"type": "toy", "mode": 2})", "energy.mode=1"}).at("energy").at("mode") ==
        "1");
  // Components inside components have their types as well.
  CHECK(set({"energy.base.type=toy", "energy.base.mode=1"}).at("energy").at("base").at("mode") ==
        "1");
}

TEST_CASE("numbers, integers and lists of them are read in every form that they have") {
  const auto resolve = [](const std::vector<std::string>& settings) {
    Faults faults;
    const auto all = test::toy::registry();
    const auto spec = with_settings(parsed(kPlainSpec), settings, all);
    const auto json = Experiment::check(spec, all, faults);
    faults.throw_if_any();
    return json;
  };
  for (const auto* half : {".5", "+.5", "0.5", "5e-1"})
    CHECK(resolve({std::string("energy.ratio=") + half}).at("energy").at("ratio") == 0.5);
  for (const auto* four : {"4", "+4", "4.", "4.0", "4e0"}) {
    CAPTURE(four);
    CHECK(resolve({std::string("energy.size=") + four}).at("energy").at("size").dump() == "4");
    CHECK(resolve({std::string("training.steps=") + four}).at("training").at("steps").dump() ==
          "4");
    CHECK(resolve({std::string("seed=") + four}).at("seed").dump() == "4");
  }
  CHECK(resolve({"energy.rates=[.5, +1]"}).at("energy").at("rates").dump() == "[0.5,1.0]");
  CHECK(resolve({"energy.sizes=[2., 3]"}).at("energy").at("sizes").dump() == "[2,3]");
  CHECK(resolve({"energy.tags=[red, green]"}).at("energy").at("tags").dump() ==
        R"(["red","green"])");
}

TEST_CASE("a seed is an integer in any form") {
  CHECK(read_seed("7") == "7");
  CHECK(read_seed("2e2") == "200");
  CHECK(read_seed("18446744073709551615") == "18446744073709551615");
  for (const auto* wrong : {"-1", "-1.0", "0.5", "true", "x"})
    CHECK(read_seed(wrong).find("\"seed\" must be an integer >= 0, not ") != std::string::npos);
}

TEST_CASE("who asks for the energy alone looks at the top of the spec as well") {
  const std::string energy = R"({"marginalia": 2, "energy": {"type": "toy"}})";
  CHECK(refuse_energy(energy) == "accepted");
  CHECK(refuse_energy(R"({"marginalia": 1.0, "energy": {"type": "toy"}})") == "accepted");
  const std::string keys = "\n  it takes: marginalia, note, seed, device, dataset, energy, prior, "
                           "network, family, training, "
                           "evaluation";
  CHECK(refuse_energy(energy, {"enrgy.size=4"}) ==
        "spec.json: /: \"enrgy\" is not a key of a spec; did you mean \"energy\"?" + keys);
  CHECK(refuse_energy(energy, {"++energy.size=4"}) ==
        "spec.json: /: \"++energy\" is not a key of a spec; did you mean \"energy\"?" + keys);
  CHECK(refuse_energy(R"({"marginalia": 2, "energy": {"type": "toy", "size": 3}, "size": 4})") ==
        "spec.json: /: \"size\" is not a key of a spec; did you mean \"energy.size\"?" + keys);
  CHECK(refuse_energy(energy, {"marginalia=3"}) ==
        "spec.json: /: \"marginalia\" must be 2, or 1, not 3");
  CHECK(refuse_energy(energy, {"seed=-1", "energy.sise=4"}) ==
        "spec.json: /: \"seed\" must be an integer >= 0, not -1\n"
        "spec.json: /energy: toy cannot be built\n"
        "  - \"sise\" is not a parameter of toy; did you mean \"size\"?\n"
        "  it takes: flag, size, ratio, mode, sizes, rates, tags, weights, rows, file, base, "
        "metrics, inner");
  CHECK(refuse_energy(R"({"marginalia": 2})") == "spec.json: /: needs an \"energy\"");
  CHECK(refuse_energy(R"({"energy": {"type": "toy"}})") ==
        "spec.json: /: needs \"marginalia\": 2, the version of the format");
  CHECK(refuse_energy(R"({"marginalia_study": 2, "base": {}})") ==
        "spec.json: /: is a study; run it with marginalia study\n"
        "spec.json: /: needs an \"energy\"");
  CHECK(refuse_energy("[]") == "spec.json: /: a spec is a JSON object");
}

TEST_CASE("whatever stands for a parameter, it is told in our words") {
  const auto& all = test::loaded_registry();
  const std::vector<Json> values{true,
                                 5,
                                 -1,
                                 0.5,
                                 "x",
                                 Json::array(),
                                 Json::object(),
                                 {1, 2},
                                 {{"type", 5}},
                                 {{"a", Json::object()}},
                                 {{"type", {1}}}};
  for (const auto* d : all.descriptions()) {
    Faults none;
    auto example = Json::parse(d->example);
    example["type"] = d->name;
    const auto whole = all.check(d->kind, parsed(example.dump()), none);
    auto keys = std::vector<std::string>{};
    for (const auto& [key, _] : whole.items())
      keys.push_back(key);
    // What stood beside a choice in format 1.
    for (const auto* old : {"temperatures", "hottest", "label_sweeps", "blocks", "size_power",
                            "chain", "on_policy", "lambda", "backward", "siblings", "islands"})
      keys.emplace_back(old);
    for (const auto& key : keys)
      for (const auto& value : values)
        for (const int format : {1, 2}) {
          auto changed = whole;
          changed[key] = value;
          const auto section = d->kind == std::string("metric") ? "evaluation" : d->kind;
          Json spec{{"marginalia", format}, {section, changed}};
          if (section == "evaluation") spec[section] = Json{{"metrics", Json::array({changed})}};
          std::string said;
          try {
            Faults faults;
            Experiment::check(parsed(spec.dump()), all, faults);
            faults.throw_if_any();
          } catch (const std::exception& e) {
            said = e.what();
          }
          CAPTURE(d->name);
          CAPTURE(key);
          CAPTURE(value.dump());
          CHECK(said.find("json.exception") == std::string::npos);
        }
  }
}

TEST_CASE("whatever stands at the top of a spec, it is told in our words") {
  const auto all = test::toy::registry();
  const std::vector<Json> values{
      true,          5,          -1,    0.5, "x", Json::array(), Json::object(), {1, 2},
      {{"type", 5}}, {{"a", 1}}, Json()};
  for (const auto* key : {"marginalia", "note", "seed", "device", "dataset", "energy", "network",
                          "family", "training", "evaluation", "marginalia_study"})
    for (const auto& value : values) {
      auto spec = Json::parse(kPlainSpec);
      spec[key] = value;
      std::string said;
      try {
        Faults faults;
        Experiment::check(parsed(spec.dump()), all, faults);
        Experiment::make_energy(parsed(spec.dump()), all);
      } catch (const Error&) {
      } catch (const std::exception& e) {
        said = e.what();
      }
      CAPTURE(key);
      CAPTURE(value.dump());
      CHECK(said.empty());
    }
}
