#include "toy.h"

#include <marginalia/tool.h>

#include "host/describe/manual.h"
#include "host/describe/measurements.h"

using namespace marginalia;
using namespace marginalia::test::toy;

namespace {

/// An energy whose constructor fails in the way its parameter says.
class Fails final : public Energy {
 public:
  static constexpr const char* kName = "fails";
  static constexpr const char* kSummary = "fails";
  struct Params {
    std::string how;
    void visit(ParamVisitor& p) { p("how", how, {.doc = "it fails"}); }
  };
  explicit Fails(const Params& params) {
    if (params.how == "request") throw SpecError("\"how\" is a bad idea");
    if (params.how == "std") throw std::runtime_error("out of luck");
    if (params.how == "torch") TORCH_CHECK(false, "sizes differ");
    if (params.how == "number") throw 42;
  }
  const StateSpace& space() const override { return space_; }

 private:
  Tensor compute_log_density(const Tensor& x) const override { return x.sum(1); }
  StateSpace space_;
};

TEST_CASE("a registry lists what it holds, by kind and name") {
  const auto all = test::toy::registry();
  CHECK(component_kinds() ==
        std::vector<std::string>{"dataset", "energy", "network", "family", "metric", "tool"});
  std::vector<std::string> found;
  for (const auto* d : all.descriptions())
    found.push_back(d->kind + " " + d->name);
  CHECK(found == std::vector<std::string>{"dataset pair", "energy toy", "network flat",
                                          "family idle", "metric one"});
  CHECK(all.names("energy") == std::vector<std::string>{"toy"});
  CHECK(all.names("tool").empty());
  CHECK(all.find("energy", "pair") == nullptr);  // names belong to their kind
  const auto* toy = all.find("energy", "toy");
  REQUIRE(toy != nullptr);
  CHECK(toy->summary == "every type of parameter");
  CHECK(toy->formula == "log f(x) = 0");
  CHECK(toy->source == "nobody (0)");
  CHECK(toy->example == R"({"size": 2})");
  CHECK(all.find("metric", "one")->example == "{}");
  CHECK(all.find("family", "idle")->roles ==
        std::map<std::string, unsigned>{{"conditional", kLogits}, {"marginal", kLogMarginal}});
}

TEST_CASE("a name is taken once") {
  auto all = test::toy::registry();
  all.set_plugin("other", "1.0");
  CHECK(test::refusal([&] { all.add<Toy>(); }) ==
        "energy \"toy\" of plugin other is already offered by plugin host; rename one");
  CHECK(all.find("energy", "toy")->plugin == "host");
}

TEST_CASE("a registry is a value") {
  const auto before = test::toy::registry();
  auto after = before;
  after.set_plugin("late", "2.0");
  after.add<Fails>();
  CHECK(before.find("energy", "fails") == nullptr);
  CHECK(after.find("energy", "fails")->plugin == "late");
  CHECK(after.find("energy", "fails")->version == "2.0");
}

TEST_CASE("what is made knows its name") {
  const auto all = test::toy::registry();
  const auto energy = all.make<Energy>(Spec::from_text(R"({"type": "toy"})"));
  CHECK(energy->label() == "energy toy (plugin host)");
}

TEST_CASE("a name that is not there is refused with the nearest") {
  const auto all = test::toy::registry();
  const auto make = [&](const std::string& json) {
    return test::refusal([&] { all.make<Energy>(Spec::from_text(json, "spec.json")); });
  };
  CHECK(make(R"({"type": "tooy"})") ==
        "spec.json: /: no energy is called \"tooy\"; did you mean \"toy\"?\n  there is: toy");
  CHECK(make("{}") == "spec.json: /: needs \"type\"");
  CHECK(make("3") == "spec.json: /: must be an object with \"type\", not 3");
}

TEST_CASE("what a component throws when it is built comes out with its name") {
  Registry all;
  all.set_plugin("luck", "1.0");
  all.add<Fails>();
  const auto make = [&](const std::string& how) {
    const auto spec = Spec::from_text(R"({"type": "fails"})").with({"how=" + how});
    return test::refusal([&] { all.make<Energy>(spec); });
  };
  CHECK(make("request") == "energy fails (plugin luck): \"how\" is a bad idea");
  CHECK(make("std") == "energy fails (plugin luck): out of luck");
  CHECK(make("torch") == "energy fails (plugin luck): sizes differ");
  CHECK(make("number") ==
        "energy fails (plugin luck): threw something that is not a std::exception");
  CHECK_THROWS_AS(all.make<Energy>(Spec::from_text(R"({"type": "fails", "how": "request"})")),
                  SpecError);
}

TEST_CASE("a component's page is written from its declarations") {
  const auto all = test::toy::registry();
  CHECK(describe(*all.find("energy", "toy")) == R"(## toy

every type of parameter, an energy of plugin host.

```
log f(x) = 0
```

| parameter | type | default | accepts | meaning |
|---|---|---|---|---|
| `flag` | boolean | false |  | yes or no |
| `size` | integer | 3 | 1 to 9 | D, variables |
| `ratio` | number | 0.25 | 0 to 1 | a share |
| `mode` | string | fast | fast, slow | pace |
| `sizes` | integers | [4,5] | >= 1 | several |
| `rates` | numbers | [] | <= 2 | several |
| `tags` | string or strings | red | red, green | colours |
| `weights` | object of numbers | {"log_z":100.0} | >= 0 | by name |
| `rows` | integer or "all" | 10 | >= 1 | how many |
| `file` | file |  |  | numbers |
| `base` | energy |  |  | another one |
| `metrics` | list of metric |  |  | what to measure |
| `inner.rate` | number | 0.5 | <= 1 | of change |
| `inner.rule` | string | plain |  | of change |
| `inner.factors` | object of numbers | {} | >= 0 | by name |
| `inner.metrics` | list of metric |  |  | inside |

Source: nobody (0)
)");
  CHECK(describe(*all.find("dataset", "pair")) ==
        "## pair\n\n00 and 11, a dataset of plugin host.\n\nIt takes no parameters.\n");
  CHECK(describe(*all.find("family", "idle"))
            .find("\n\nIts networks by role, and the heads they need: `conditional` (logits), "
                  "`marginal` (log_marginal).\n\n") != std::string::npos);
  CHECK(describe(*all.find("metric", "one"))
            .find("| measurement | what it is | unit | better | column |\n|---|---|---|---|---|\n"
                  "| `exact` | unity: 1 \\| 1 to some power | nats | higher | shared |\n\n") !=
        std::string::npos);
}

TEST_CASE("a registry knows what components declare of themselves") {
  const auto all = test::toy::registry();
  const auto& one = *all.find("metric", "one");
  REQUIRE(one.measurements.size() == 1);
  CHECK(std::string(one.measurements[0].label) == "unity");
  CHECK((one.measurements[0].better == Better::kHigher));
  CHECK(all.find("energy", "toy")->measurements.empty());
  CHECK(all.find("family", "idle")->reference_chains.empty());
  CHECK(collect_measurement_facts(all) ==
        Json::parse(R"({"one": [{"estimator": "exact", "label": "unity",
            "meaning": "1 | 1 to some power", "unit": "nats", "better": "higher", "plot": "none",
            "column": "shared"}]})"));
}

TEST_CASE("the reference has a page for every kind, and one for training and evaluation") {
  const auto pages = reference(test::toy::registry());
  std::vector<std::string> names;
  for (const auto& [name, _] : pages)
    names.push_back(name);
  CHECK(names == std::vector<std::string>{"dataset.md", "energy.md", "family.md", "metric.md",
                                          "network.md", "queries.md", "tool.md", "training.md"});
  const auto& training = pages.at("training.md");
  for (const auto* row : {"| `optimizer.learning_rate` | number | 0.001 | >= 0 | step size |",
                          "| `checkpoint.keep` | integer | 2 | >= 1 |",
                          "| `rows` | integer or \"all\" | 1000 | >= 1 |"}) {
    CAPTURE(row);
    CHECK(training.find(row) != std::string::npos);
  }
}

TEST_CASE("the schema says what the reader accepts") {
  const auto schema = Json::parse(spec_schema(test::toy::registry()));
  CHECK(schema["required"].dump() == R"(["marginalia","family"])");
  CHECK(schema["additionalProperties"] == false);
  for (const auto* key : {"marginalia", "note", "seed", "device", "dataset", "energy", "network",
                          "family", "training", "evaluation"}) {
    CAPTURE(key);
    CHECK(schema["properties"].contains(key));
  }
  CHECK(schema["properties"].size() == 11);
  const auto& steps = schema["properties"]["training"]["properties"]["steps"];
  CHECK(steps["type"] == "integer");
  CHECK(steps["minimum"] == 0);
  CHECK(steps["default"] == 1000);
  const auto& rule = schema["properties"]["training"]["properties"]["optimizer"]["properties"];
  CHECK(rule["type"]["enum"].dump() == R"(["adam","adamw","sgd"])");

  const auto& toy = schema["$defs"]["energy"]["anyOf"][0];
  CHECK(toy["required"].dump() == R"(["type"])");
  CHECK(toy["additionalProperties"] == false);
  const auto& properties = toy["properties"];
  CHECK(properties["type"].dump() == R"({"const":"toy"})");
  CHECK(properties["size"].dump() ==
        R"({"type":"integer","description":"D, variables","default":3,"minimum":1,"maximum":9})");
  CHECK(properties["mode"]["enum"].dump() == R"(["fast","slow"])");
  CHECK(properties["sizes"]["items"].dump() == R"({"type":"integer","minimum":1})");
  CHECK(properties["tags"]["anyOf"][0]["enum"].dump() == R"(["red","green"])");
  CHECK(properties["tags"]["anyOf"][1]["items"]["enum"].dump() == R"(["red","green"])");
  CHECK(properties["rows"]["anyOf"].dump() ==
        R"([{"type":"integer","minimum":1},{"const":"all"}])");
  CHECK(properties["base"]["$ref"] == "#/$defs/energy");
  CHECK(properties["metrics"]["items"]["$ref"] == "#/$defs/metric");
  CHECK(properties["inner"]["properties"]["rate"]["maximum"] == 1.0);
  // A bare name stands for a metric, and for nothing else.
  CHECK(schema["$defs"]["metric"]["anyOf"][1].dump() == R"({"type":"string","enum":["one"]})");
  CHECK(schema["$defs"]["energy"]["anyOf"].size() == 1);
}

/// Every key of `spec` that `schema` does not allow, by place. Structure alone: keys and
/// references.
void unknown_keys(const Json& spec, const Json& schema, const Json& root, const std::string& where,
                  std::vector<std::string>& unknown) {
  if (schema.contains("$ref")) {
    const auto pointer = schema["$ref"].get<std::string>().substr(1);
    return unknown_keys(spec, root.at(Json::json_pointer(pointer)), root, where, unknown);
  }
  if (schema.contains("anyOf")) {
    for (const auto& choice : schema["anyOf"]) {
      std::vector<std::string> here;
      unknown_keys(spec, choice, root, where, here);
      if (here.empty()) return;
    }
    unknown.push_back(where);
    return;
  }
  if (schema.contains("const") && schema["const"] != spec) unknown.push_back(where);
  if (schema.contains("enum") && !std::ranges::count(schema["enum"], spec))
    unknown.push_back(where);
  if (spec.is_array() && schema.contains("items"))
    for (const auto& element : spec)
      unknown_keys(element, schema["items"], root, where + "[]", unknown);
  if (!spec.is_object() || !schema.contains("properties")) return;
  for (const auto& [key, value] : spec.items())
    if (schema["properties"].contains(key))
      unknown_keys(value, schema["properties"][key], root, where + "/" + key, unknown);
    else
      unknown.push_back(where + "/" + key);
}

TEST_CASE("a resolved spec keeps to the schema") {
  const auto all = test::toy::registry();
  const auto spec = Spec::from_text(R"({"marginalia": 2, "seed": 1,
    "energy": {"type": "toy", "metrics": ["one"], "base": {"type": "toy"}},
    "network": {"conditional": {"type": "flat"}}, "family": {"type": "idle"},
    "evaluation": {"metrics": ["one"], "rows": "all"}})");
  Faults faults;
  const auto resolved = Experiment::check(spec, all, faults);
  faults.throw_if_any();
  const auto schema = Json::parse(spec_schema(all));
  std::vector<std::string> unknown;
  unknown_keys(resolved, schema, schema, "", unknown);
  CHECK(unknown == std::vector<std::string>{});
  unknown_keys(Json{{"energy", {{"type", "toy"}, {"sise", 1}}}}, schema, schema, "", unknown);
  CHECK(unknown == std::vector<std::string>{"/energy"});
}

}  // namespace
