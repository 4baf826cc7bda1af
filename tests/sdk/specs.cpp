#include "toy.h"

#include <fstream>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "sdk/base/text.h"

using namespace marginalia;
using namespace marginalia::test::toy;
namespace fs = std::filesystem;

namespace {

/// Builds the toy energy from `json`, which gives all but its type.
std::shared_ptr<Toy> toy(const std::string& json, const DataPaths& paths = {}) {
  static const auto all = test::toy::registry();
  const auto spec = Spec::from_text(R"({"type": "toy", )" + json.substr(1), "spec.json", paths);
  return std::dynamic_pointer_cast<Toy>(all.make<Energy>(spec));
}

std::string toy_refusal(const std::string& json) {
  return test::refusal([&] { toy(json); });
}

/// What is said of one wrong value: the one fault of a message that holds no other.
std::string fault(const std::string& json) {
  const auto text = toy_refusal(json);
  const std::string before = "spec.json: /: toy cannot be built\n  - ";
  const std::string after =
      "\n  it takes: flag, size, ratio, mode, sizes, rates, tags, weights, rows, file, base, "
      "metrics, inner";
  REQUIRE(text.starts_with(before));
  REQUIRE(text.ends_with(after));
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

TEST_CASE("every type of parameter is read") {
  const test::TempDir folder;
  std::ofstream(folder / "numbers.txt") << "1";
  const auto p = toy(R"({"flag": true, "size": 5, "ratio": 1, "mode": "slow", "sizes": [1, 2],
    "rates": [0.5, 1], "tags": ["green", "red"], "weights": {"a": 1, "b": 2.5}, "rows": "all",
    "file": "numbers.txt", "base": {"type": "toy", "size": 7},
    "metrics": ["one", {"type": "one", "power": 3}],
    "inner": {"rate": -1, "rule": "odd", "factors": {"f": 0}, "metrics": ["one"]}})",
                     {folder.path(), "/data"})
                     ->params;
  CHECK(p.flag);
  CHECK(p.size == 5);
  CHECK(p.ratio == 1.0);
  CHECK(p.mode == "slow");
  CHECK(p.sizes == std::vector<std::int64_t>{1, 2});
  CHECK(p.rates == std::vector<double>{0.5, 1});
  CHECK(p.tags == std::vector<std::string>{"green", "red"});
  CHECK(p.weights == std::map<std::string, double>{{"a", 1}, {"b", 2.5}});
  CHECK(p.rows.all);
  CHECK(p.file.found == folder / "numbers.txt");
  CHECK(p.base.value->space().dimension() == 7);
  REQUIRE(p.metrics.size() == 2);
  CHECK(std::dynamic_pointer_cast<One>(p.metrics[0].value)->power == 1);
  CHECK(std::dynamic_pointer_cast<One>(p.metrics[1].value)->power == 3);
  CHECK(p.inner.rate == -1);
  CHECK(p.inner.rule == "odd");
  CHECK(p.inner.factors == std::map<std::string, double>{{"f", 0}});
  CHECK(p.inner.metrics.size() == 1);
}

TEST_CASE("an integer may be written with a point or an exponent, and is resolved without") {
  const auto p = toy(R"({"size": 2.0, "sizes": [1e0, 20e-1], "rows": 3.0})")->params;
  CHECK(p.size == 2);
  CHECK(p.sizes == std::vector<std::int64_t>{1, 2});
  CHECK(p.rows.value == 3);
  Faults faults;
  const auto all = test::toy::registry();
  CHECK(all.check("energy", parsed(R"({"type": "toy", "size": 2.0})"), faults).at("size").dump() ==
        "2");
}

TEST_CASE("what a spec leaves out, or gives as null, keeps its default") {
  const auto p = toy(R"({"size": null, "rows": null, "base": null, "inner": null})")->params;
  CHECK(p.size == 3);
  CHECK(p.sizes == std::vector<std::int64_t>{4, 5});
  CHECK(p.rows.value == 10);
  CHECK_FALSE(p.rows.all);
  CHECK_FALSE(p.file);
  CHECK(p.base.value == nullptr);
  CHECK(p.metrics.empty());
  CHECK(p.inner.rate == 0.5);
}

TEST_CASE("a file is looked for beside the spec, then in the data directory") {
  const test::TempDir beside, data;
  const DataPaths paths{beside.path(), data.path()};
  const auto found = [&] { return toy(R"({"file": "n.txt"})", paths)->params.file.found; };
  CHECK(found() == data / "n.txt");  // where it would be expected
  std::ofstream(data / "n.txt") << "1";
  CHECK(found() == data / "n.txt");
  std::ofstream(beside / "n.txt") << "1";
  CHECK(found() == beside / "n.txt");
}

TEST_CASE("a wrong value is named with its place, what it is, and what would be right") {
  CHECK(fault(R"({"flag": 1})") == R"("flag" must be true or false, not 1)");
  CHECK(fault(R"({"size": 2.5})") == R"("size" must be an integer, not 2.5)");
  CHECK(fault(R"({"size": "2"})") == R"("size" must be an integer, not "2")");
  CHECK(fault(R"({"size": 9223372036854775808})") ==
        R"("size" must be an integer, not 9223372036854775808)");
  CHECK(fault(R"({"size": 0})") == R"("size" must be at least 1, not 0)");
  CHECK(fault(R"({"size": 10})") == R"("size" must be at most 9, not 10)");
  CHECK(fault(R"({"ratio": "half"})") == R"("ratio" must be a number, not "half")");
  CHECK(fault(R"({"ratio": -0.5})") == R"("ratio" must be at least 0, not -0.5)");
  CHECK(fault(R"({"ratio": 1.5})") == R"("ratio" must be at most 1, not 1.5)");
  CHECK(fault(R"({"mode": true})") == R"("mode" must be a string, not true)");
  CHECK(fault(R"({"mode": "fats"})") ==
        R"("mode" must be one of fast, slow, not "fats"; did you mean "fast"?)");
  CHECK(fault(R"({"mode": "quiet"})") == R"("mode" must be one of fast, slow, not "quiet")");
  CHECK(fault(R"({"sizes": 4})") == R"("sizes" must be a list of integers, not 4)");
  CHECK(fault(R"({"sizes": [1, 0]})") == R"("sizes" must be at least 1, not 0)");
  CHECK(fault(R"({"rates": [1, "a"]})") == R"("rates" must be a list of numbers, not [1,"a"])");
  CHECK(fault(R"({"rates": [3]})") == R"("rates" must be at most 2, not 3)");
  CHECK(fault(R"({"tags": [1]})") == R"("tags" must be a string, or a list of strings, not [1])");
  CHECK(fault(R"({"tags": ["gren"]})") ==
        R"("tags" must be one of red, green, not "gren"; did you mean "green"?)");
  CHECK(fault(R"({"weights": {"a": "b"}})") ==
        R"("weights" must be an object of numbers, not {"a":"b"})");
  CHECK(fault(R"({"weights": {"a": -1}})") == R"("weights.a" must be at least 0, not -1)");
  CHECK(fault(R"({"rows": "some"})") == R"("rows" must be an integer or "all", not "some")");
  CHECK(fault(R"({"rows": 0})") == R"("rows" must be at least 1, not 0)");
  CHECK(fault(R"({"file": 1})") == R"("file" must be a string, not 1)");
  CHECK(fault(R"({"metrics": "one"})") == R"("metrics" must be a list of components, not "one")");
  CHECK(fault(R"({"szie": 4})") == R"("szie" is not a parameter of toy; did you mean "size"?)");
  CHECK(fault(R"({"temperature": 4})") == R"("temperature" is not a parameter of toy)");
}

TEST_CASE("in a section, names carry the section's") {
  CHECK(fault(R"({"inner": 3})") == R"("inner" must be an object, not 3)");
  CHECK(fault(R"({"inner": {"rate": "high"}})") == R"("inner.rate" must be a number, not "high")");
  CHECK(fault(R"({"inner": {"rate": 2}})") == R"("inner.rate" must be at most 1, not 2)");
  CHECK(fault(R"({"inner": {"rul": ""}})") ==
        R"("inner.rul" is not a parameter of toy; did you mean "inner.rule"?)");
  CHECK(fault(R"({"inner": {"type": "x"}})") == R"("inner.type" is not a parameter of toy)");
  CHECK(fault(R"({"inner": {"factors": 1}})") ==
        R"("inner.factors" must be an object of numbers, not 1)");
  CHECK(fault(R"({"inner": {"factors": {"f": -1}}})") ==
        R"("inner.factors.f" must be at least 0, not -1)");
  CHECK(fault(R"({"inner": {"metrics": {}}})") ==
        R"("inner.metrics" must be a list of components, not {})");
}

TEST_CASE("all faults of a component come in one message") {
  CHECK(toy_refusal(R"({"flag": 0, "size": 0, "inner": {"rate": 2}, "sise": 1})") ==
        "spec.json: /: toy cannot be built\n"
        "  - \"flag\" must be true or false, not 0\n"
        "  - \"size\" must be at least 1, not 0\n"
        "  - \"inner.rate\" must be at most 1, not 2\n"
        "  - \"sise\" is not a parameter of toy; did you mean \"size\"?\n"
        "  it takes: flag, size, ratio, mode, sizes, rates, tags, weights, rows, file, base, "
        "metrics, inner");
}

TEST_CASE("faults of components inside components come with their places") {
  CHECK(toy_refusal(R"({"base": {"type": "toyy"}, "metrics": ["on", {"power": 1},
                        {"type": "one", "power": -1}, 4, {"type": 5}]})") ==
        "spec.json: /base: no energy is called \"toyy\"; did you mean \"toy\"?\n  there is: toy\n"
        "spec.json: /metrics/0: no metric is called \"on\"; did you mean \"one\"?\n"
        "  there is: one\n"
        "spec.json: /metrics/1: needs \"type\"\n"
        "spec.json: /metrics/2: one cannot be built\n"
        "  - \"power\" must be at least 0, not -1\n"
        "  it takes: power\n"
        "spec.json: /metrics/3: must be an object with \"type\", not 4\n"
        "spec.json: /metrics/4/type: must be a string, not 5");
  CHECK(toy_refusal(R"({"base": "toy"})") ==
        "spec.json: /base: must be an object with \"type\", not \"toy\"");
}

TEST_CASE("a resolved component holds every default, and resolves to itself") {
  const auto all = test::toy::registry();
  Faults faults;
  const auto first = all.check(
      "energy", parsed(R"({"type": "toy", "rows": "all", "metrics": ["one"], "size": 4})"), faults);
  CHECK(first.dump() ==
        R"({"type":"toy","flag":false,"size":4,"ratio":0.25,"mode":"fast","sizes":[4,5],)"
        R"("rates":[],"tags":"red","weights":{"log_z":100.0},"rows":"all","file":"",)"
        R"("metrics":[{"type":"one","power":1}],)"
        R"("inner":{"rate":0.5,"rule":"plain","factors":{},"metrics":[]}})");
  CHECK(all.check("energy", parsed(first.dump()), faults).dump() == first.dump());
  faults.throw_if_any();
}

TEST_CASE("JSON is refused with the file's name where it is none") {
  CHECK(test::refusal([] { parsed("{"); }) ==
        "spec.json: not JSON: line 1, column 1: the object that begins here is not closed");
  CHECK(test::refusal([] { parsed(R"({"a": {"b": 1, "c": 2, "b": 3}})"); }) ==
        "spec.json: \"b\" stands twice in one object");
  CHECK_NOTHROW(parsed(R"({"a": {"b": 1}, "c": [{"b": 1}, {"b": 2}]})"));
  const test::TempDir folder;
  CHECK(test::refusal([&] { Spec::from_file(folder / "none.json"); }) ==
        (folder / "none.json").string() + ": cannot be read: No such file or directory");
  CHECK(test::refusal([&] { Spec::from_file(folder.path()); }) ==
        folder.path().string() + ": cannot be read: it is a folder");
}

TEST_CASE("comments are allowed") {
  const auto spec = parsed("{ // of a line\n \"a\": /* inside */ 1 }");
  CHECK(spec.json().at("a") == 1);
}

TEST_CASE("settings are dotted keys with JSON values or bare words") {
  const auto spec = parsed(R"({"a": {"b": 1, "c": 2}, "d": 3})");
  const auto with = [&](const std::vector<std::string>& settings) {
    return spec.with(settings).json().dump();
  };
  CHECK(with({"a.b=5"}) == R"({"a":{"b":5,"c":2},"d":3})");
  CHECK(with({"a.b=1e-3", "a.c=[1,2]"}) == R"({"a":{"b":0.001,"c":[1,2]},"d":3})");
  for (const auto* half : {"d=.5", "d=+0.5", "d=+.5e0", "d=5e-1"})
    CHECK(with({half}) == R"({"a":{"b":1,"c":2},"d":0.5})");
  CHECK(with({"d=[.5, +1, red]"}) == R"({"a":{"b":1,"c":2},"d":[0.5,1.0,"red"]})");
  CHECK(with({"d=[1,[2"}) == R"({"a":{"b":1,"c":2},"d":"[1,[2"})");
  CHECK(with({"d=[C][=C]"}) == R"({"a":{"b":1,"c":2},"d":"[C][=C]"})");
  CHECK(with({"d=1e999"}) == R"({"a":{"b":1,"c":2},"d":"1e999"})");
  CHECK(with({"d=word"}) == R"({"a":{"b":1,"c":2},"d":"word"})");
  CHECK(with({"d=\"4\""}) == R"({"a":{"b":1,"c":2},"d":"4"})");
  CHECK(with({"d=a=b"}) == R"({"a":{"b":1,"c":2},"d":"a=b"})");
  CHECK(with({"d="}) == R"({"a":{"b":1,"c":2},"d":""})");
  CHECK(with({"d={\"type\": \"x\"}"}) == R"({"a":{"b":1,"c":2},"d":{"type":"x"}})");
  CHECK(with({"e.f.g=true"}) == R"({"a":{"b":1,"c":2},"d":3,"e":{"f":{"g":true}}})");
  CHECK(with({"a=null"}) == R"({"d":3})");
  CHECK(with({"a.b=null", "d=null"}) == R"({"a":{"c":2}})");
  CHECK(with({"a.b=1", "a.b=2"}) == R"({"a":{"b":2,"c":2},"d":3})");
  CHECK(spec.json().dump() == R"({"a":{"b":1,"c":2},"d":3})");  // itself unchanged
  CHECK(test::refusal([&] { with({"training"}); }) ==
        "\"training\": a setting is key=value, as in training.steps=100");
  CHECK(test::refusal([&] { with({"=3"}); }) ==
        "\"=3\": a setting is key=value, as in training.steps=100");
  CHECK(test::refusal([&] { with({R"(d={"a": 1, "a": 2})"}); }) ==
        R"("d={"a": 1, "a": 2}": "a" stands twice in one object)");
  CHECK(test::refusal([&] { with({"d=\xe4"}); }) == "\"d=\xe4\": is not UTF-8");
  CHECK(test::refusal([&] { with({"a.b.c=3"}); }) ==
        "\"a.b.c=3\": \"b\" is 1, not an object with keys of its own");
}

TEST_CASE("a setting on what is not an object is refused") {
  const auto text = test::refusal([] { parsed("[1]").with({"a=1"}); });
  CHECK(text == "spec.json: /: a spec is a JSON object");
}

TEST_CASE("the nearest name is offered only when it is near") {
  CHECK(nearest("isng", {"chain", "ising"}) == "ising");
  CHECK(nearest("potts", {"chain", "ising"}).empty());
  CHECK(nearest("x", {}).empty());
  CHECK(unknown_name("energy", "isng", {"chain", "ising"}) ==
        "no energy is called \"isng\"; did you mean \"ising\"?\n  there is: chain, ising");
  CHECK(unknown_name("energy", "isng", {}) == "no energy is called \"isng\"\n  there is: none");
}

}  // namespace
