// Alternatives of a component: how a spec names one, and what is refused.
#include "toy.h"

#include "host/describe/manual.h"

using namespace marginalia;

namespace {

/// Moves at a pace of its own; in format 1 "speed" and "gears" stood beside "pace".
class Mover final : public Metric {
 public:
  static constexpr const char* kName = "mover";
  static constexpr const char* kSummary = "moves";

  struct Rest : NoParams {
    static constexpr const char* kName = "rest";
    static constexpr const char* kDoc = "not at all";
  };
  struct Hand : NoParams {
    static constexpr const char* kName = "hand";
    static constexpr const char* kDoc = "by hand";
  };
  struct Gears {
    static constexpr const char* kName = "gears";
    static constexpr const char* kDoc = "by gears";
    std::int64_t count = 5;
    void visit(ParamVisitor& p) { p("count", count, {.doc = "of gears", .min = 1}); }
  };
  struct Run {
    static constexpr const char* kName = "run";
    static constexpr const char* kDoc = "fast";
    double speed = 3;
    std::variant<Hand, Gears> shift;
    void visit(ParamVisitor& p) {
      p("speed", speed, {.doc = "m/s", .max = 9.0});
      p.choice("shift", shift, "how it is changed");
    }
  };
  struct Params {
    std::variant<Rest, Run> pace;
    bool loud = false;
    void visit(ParamVisitor& p) {
      p.choice("pace", pace, "how it moves");
      p("loud", loud, {.doc = "is heard"});
    }
  };
  static Json upgrade(const Json& old, int) {
    auto now = old;
    if (!old.contains("speed")) return now;
    if (old.at("speed") == 0) throw SpecError("\"speed\" of 0 is no pace");
    now["pace"] = Json{{"type", "run"}, {"speed", old.at("speed")}};
    now.erase("speed");
    return now;
  }

  explicit Mover(const Params& given) : params(given) {}
  std::vector<Measurement> measure(Evaluation&) const override { return {}; }
  const Params params;
};

Registry movers() {
  auto all = test::toy::registry();
  all.add<Mover>();
  return all;
}

Mover::Params mover(const std::string& json) {
  auto given = Json::parse(json);
  given["type"] = "mover";
  const auto made = movers().make<Metric>(test::toy::parsed(given.dump()));
  return std::dynamic_pointer_cast<Mover>(made)->params;
}

/// What is wrong with it; the resolved parameters where nothing is.
std::string checked(const std::string& json) {
  auto given = Json::parse(json);
  given["type"] = "mover";
  Faults faults;
  const auto resolved = movers().check("metric", test::toy::parsed(given.dump()), faults);
  const auto text = test::refusal([&] { faults.throw_if_any(); });
  return text == "accepted" ? resolved.dump() : text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an alternative is named by a word or by \"type\", and holds its own parameters") {
  CHECK(std::holds_alternative<Mover::Rest>(mover("{}").pace));
  CHECK(std::holds_alternative<Mover::Rest>(mover(R"({"pace": null})").pace));
  CHECK(std::holds_alternative<Mover::Rest>(mover(R"({"pace": {}})").pace));
  CHECK(std::get<Mover::Run>(mover(R"({"pace": "run"})").pace).speed == 3);
  const auto run = std::get<Mover::Run>(
      mover(R"({"pace": {"type": "run", "speed": 7, "shift": {"type": "gears", "count": 6}}})")
          .pace);
  CHECK(run.speed == 7);
  CHECK(std::get<Mover::Gears>(run.shift).count == 6);
}

TEST_CASE("a resolved choice is an object with every parameter of its alternative") {
  CHECK(checked("{}") == R"({"type":"mover","pace":{"type":"rest"},"loud":false})");
  const std::string run =
      R"({"type":"mover","pace":{"type":"run","speed":3.0,"shift":{"type":"hand"}},"loud":true})";
  CHECK(checked(R"({"pace": "run", "loud": true})") == run);
  CHECK(checked(run) == run);
}

TEST_CASE("a setting goes below a word as below the object it stands for") {
  const auto spec = test::toy::parsed(R"({"pace": "run"})").with({"pace.shift.count=2"});
  CHECK(spec.json().dump() == R"({"pace":{"type":"run","shift":{"count":2}}})");
  CHECK(has(checked(spec.json().dump()), R"("pace.shift.count" is not a parameter of shift hand)"));
}

TEST_CASE("what is no alternative, or a parameter of another one, is refused with its place") {
  CHECK(has(checked(R"({"pace": "rum"})"),
            R"("pace" must be one of rest, run, not "rum"; did you mean "run"?)"));
  CHECK(has(checked(R"({"pace": {"type": "rum", "speed": 1}})"),
            R"("pace.type" must be one of rest, run, not "rum"; did you mean "run"?)"));
  CHECK(has(checked(R"({"pace": 4})"),
            R"("pace" must be rest, run, or an object with one of them as "type", not 4)"));
  CHECK(
      has(checked(R"({"pace": {"speed": 4}})"), R"("pace.speed" is not a parameter of pace rest)"));
  CHECK(has(checked(R"({"pace": {"type": "run", "sped": 4}})"),
            R"("pace.sped" is not a parameter of pace run; did you mean "pace.speed"?)"));
  CHECK(has(checked(R"({"pace": {"type": "run", "speed": 10}})"),
            R"("pace.speed" must be at most 9, not 10)"));
  CHECK(has(checked(R"({"pace": {"type": "run", "shift": {"type": "gears", "count": 0}}})"),
            R"("pace.shift.count" must be at least 1, not 0)"));
}

TEST_CASE("a parameter of format 1 is refused with what to write in its place") {
  CHECK(checked(R"({"speed": 4, "loud": true})") ==
        "spec.json: /: \"speed\" of mover is of format 1; in format 2 write "
        R"({"pace":{"type":"run","speed":4}})");
  CHECK(checked(R"({"speed": 0})") == "spec.json: /: \"speed\" of 0 is no pace");
}

TEST_CASE("the manual has a table of each choice, and the schema an object of each alternative") {
  const auto all = movers();
  CHECK(has(describe(*all.find("metric", "mover")),
            R"(| parameter | type | default | accepts | meaning |
|---|---|---|---|---|
| `pace` | choice | rest | rest, run | how it moves |
| `loud` | boolean | false |  | is heard |

`pace`: how it moves

| | parameter | type | default | accepts | meaning |
|---|---|---|---|---|---|
| `rest` (default) | | | | | not at all |
| `run` | | | | | fast |
| | `pace.speed` | number | 3 | <= 9 | m/s |
| | `pace.shift` | choice | hand | hand, gears | how it is changed |

`pace.shift` of `run`: how it is changed

| | parameter | type | default | accepts | meaning |
|---|---|---|---|---|---|
| `hand` (default) | | | | | by hand |
| `gears` | | | | | by gears |
| | `pace.shift.count` | integer | 5 | >= 1 | of gears |
)"));
  const auto schema = Json::parse(spec_schema(all));
  for (const auto& metric : schema["$defs"]["metric"]["anyOf"]) {
    if (metric["properties"]["type"] != Json{{"const", "mover"}}) continue;
    const auto& pace = metric["properties"]["pace"];
    CHECK(pace["default"] == "rest");
    CHECK(pace["anyOf"][0].dump() == R"({"enum":["rest","run"]})");
    CHECK_FALSE(pace["anyOf"][1].contains("required"));  // the default needs no "type"
    CHECK(pace["anyOf"][2]["required"].dump() == R"(["type"])");
    CHECK(pace["anyOf"][2]["properties"]["speed"]["maximum"] == 9.0);
    CHECK(pace["anyOf"][2]["properties"]["shift"]["anyOf"][2]["properties"].contains("count"));
    return;
  }
  FAIL("no schema of mover");
}
