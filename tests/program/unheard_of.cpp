// The program with a folder of plugins whose names nothing knows: what it says of them, and whether
// it ranks, labels, certifies and samples them, rests on what they declare.
#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/files.h>

#include "program.h"

using namespace marginalia;
using test::has;
namespace fs = std::filesystem;

namespace {

constexpr const char* kBrookSpec = R"({"marginalia": 1, "seed": 1, "energy": {"type": "bog"},
  "family": {"type": "brook", "wet": 0.25}, "training": {"steps": 2, "batch_size": 4},
  "evaluation": {"rows": 400, "samples": 3, "metrics": ["glow", "haze", "dusk_of_day"]}})";

/// A program of its own: it knows the components of tests/plugins/unheard_of.cpp and no others.
class Elsewhere {
 public:
  Elsewhere() {
    for (const auto* folder : {"bin", "lib", "plugins"})
      fs::create_directories(folder_ / folder);
    const auto program = fs::canonical(MARGINALIA_PROGRAM);
    fs::copy_file(program, folder_ / "bin" / "marginalia");
    fs::create_symlink(program.parent_path().parent_path() / "lib" / "libmarginalia_app.so",
                       folder_ / "lib" / "libmarginalia_app.so");
    fs::copy_file(fs::path(MARGINALIA_BAD_PLUGIN_DIR) / "unheard_of" / "unheard_of.so",
                  folder_ / "plugins" / "unheard_of.so");
    write_atomically(folder_ / "spec.json", kBrookSpec);
  }
  fs::path operator/(const char* name) const { return folder_ / name; }

  /// What it answers; the test fails where it ends badly.
  std::string call(const std::string& arguments, const std::string& input = "") const {
    const auto result =
        test::run_shell(fmt::format("cd '{}' && env -u MARGINALIA_PLUGINS bin/marginalia {}",
                                    folder_.path().string(), arguments),
                        input);
    CAPTURE(arguments);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return result.out;
  }
  Json json(const char* file) const { return Json::parse(read_text(folder_ / file)); }

 private:
  test::TempDir folder_;
};

/// One that has run spec.json, for all who ask.
const Elsewhere& with_run() {
  static const Elsewhere elsewhere;
  static const auto said = elsewhere.call("run spec.json --out run");
  return elsewhere;
}

std::vector<Json> answers_in(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    lines.push_back(Json::parse(line));
  return lines;
}

/// log p(x_0 = x_1 = 1) of the energy, by its 32 states.
double truth_of_both() {
  double all = 0, both = 0;
  for (int state = 0; state < 32; ++state) {
    int pairs = 0;
    for (int i = 0; i < 4; ++i)
      pairs += ((state >> i) & 3) == 3;
    all += std::exp(pairs);
    if ((state & 3) == 3) both += std::exp(pairs);
  }
  return std::log(both / all);
}

constexpr const char* kBothOne = "{\"x\": [1, 1, null, null, null]}\n";

}  // namespace

TEST_CASE("a program of unheard-of components offers those alone") {
  const auto all = Json::parse(with_run().call("list --json"));
  std::vector<std::string> names;
  for (const auto& one : all)
    names.push_back(one.at("name"));
  std::ranges::sort(names);
  CHECK(names == std::vector<std::string>{"bog", "brook", "dusk_of_day", "glow", "haze"});
  const auto page = with_run().call("describe metric glow");
  CHECK(
      has(page, "| `ember` | afterglow: share of ones in the model's samples | lumens | lower |"));
  CHECK(has(page, "| `soot_*` | afterglow: share of zeros in them | lumens | higher |"));
}

TEST_CASE("measurements of unheard-of estimators carry their routes, and the report their facts") {
  const auto metrics = with_run().json("run/evaluation.json").at("metrics");
  CHECK(metrics.at("haze").at("glimpse").at("route") == "one pass");
  CHECK(metrics.at("haze").at("stroll").at("route") == "along order");
  CHECK_FALSE(metrics.at("glow").at("ember").contains("route"));
  const auto page = read_text(with_run() / "run/report.html");
  CHECK(has(page, R"("estimator":"ember","label":"afterglow")"));
  CHECK(has(page, R"("facts":{"glow":)"));
  CHECK_FALSE(has(page, R"("dusk_of_day":[)"));
  // Written again by the front program, which loads no plugin, it says the same.
  const auto facts_in = [&](const std::string& text) {
    const auto begin = text.find(R"("facts":{)");
    return text.substr(begin, text.find("</script>", begin) - begin);
  };
  with_run().call("report run");
  CHECK(facts_in(read_text(with_run() / "run/report.html")) == facts_in(page));
}

TEST_CASE("a study ranks unheard-of metrics as they declare") {
  const Elsewhere elsewhere;
  write_atomically(elsewhere / "study.json", R"({"marginalia_study": 1, "base": "spec.json",
      "variants": {"dim": {}, "bright": {"family.wet": 0.75}}, "seeds": 3})");
  const auto table = elsewhere.call("study study.json --out study");
  const auto comparison = elsewhere.json("study/comparison.json");
  std::map<std::string, Json> columns, cells;
  for (std::size_t c = 0; c < comparison.at("table").at("columns").size(); ++c) {
    const auto& column = comparison.at("table").at("columns").at(c);
    columns[column.at("key")] = column;
    cells[column.at("key")] = comparison.at("table").at("rows");
    for (auto& row : cells[column.at("key")])
      row = row.at("cells").at(c);
  }
  CHECK(columns.at("glow/ember").at("better") == "lower");
  CHECK(columns.at("glow/ember").at("unit") == "lumens");
  CHECK(columns.at("glow/soot_fine").at("better") == "higher");
  CHECK(columns.at("haze").at("better") == "lower");  // one column of both ways
  CHECK(columns.at("dusk_of_day").at("better").is_null());
  CHECK(columns.at("dusk_of_day").at("label") == "dusk of day");
  const auto is_bold = [&](const char* key, std::size_t row) {
    return cells.at(key).at(row).value("significant", false);
  };
  CHECK((is_bold("glow/ember", 0) && !is_bold("glow/ember", 1)));  // dim: fewer ones
  CHECK((is_bold("glow/soot_fine", 0) && !is_bold("glow/soot_fine", 1)));
  CHECK_FALSE(cells.at("dusk_of_day").at(0).contains("best"));
  CHECK(cells.at("haze").at(0).at("estimator") == "glimpse");
  CHECK(has(table, " *0.2"));  // marked as the best
  CHECK(has(table, "glow, ember, lumens \u2193"));
  CHECK(comparison.at("facts").at("glow").at(0).at("label") == "afterglow");
  CHECK_FALSE(comparison.at("facts").contains("dusk_of_day"));

  // A program that does not know them keeps what was declared.
  const auto before = read_text(elsewhere / "study/comparison.md");
  REQUIRE(test::run_marginalia(fmt::format("report '{}'", (elsewhere / "study").string())).code ==
          0);
  CHECK(read_text(elsewhere / "study/comparison.md") == before);
  CHECK(elsewhere.json("study/comparison.json").at("facts") == comparison.at("facts"));
}

TEST_CASE("questions are answered, certified and completed by unheard-of estimators") {
  const auto& elsewhere = with_run();
  const auto plain = answers_in(elsewhere.call("marginals run --input -", kBothOne)).at(0);
  CHECK(plain.at("estimator") == "stroll");  // the family's first
  CHECK(plain.at("log_marginal").get<double>() == doctest::Approx(2 * std::log(0.25)));

  for (const std::string how : {"", " --exact-width 0 --width 0.3"}) {
    CAPTURE(how);
    const auto held =
        answers_in(elsewhere.call("marginals run --input - --certify" + how, kBothOne)).at(0);
    CHECK(held.at("lower").get<double>() <= truth_of_both() + 1e-9);
    CHECK(held.at("upper").get<double>() >= truth_of_both() - 1e-9);
    CHECK(held.at("glimpse").get<double>() == doctest::Approx(2 * std::log(0.25)));
    CHECK(held.at("route") == (how.empty() ? "exact" : "network"));
  }

  const auto radii =
      answers_in(
          elsewhere.call("marginals run --input - --estimator glimpse --conformal", kBothOne))
          .at(0);
  CHECK(radii.at("upper").get<double>() == doctest::Approx(2 * std::log(0.25) + 0.5));
  CHECK(radii.at("confidence") == 0.8);

  const auto drawn = answers_in(elsewhere.call("sample run --count 4"));
  CHECK(drawn.size() == 4);
  const auto best =
      answers_in(elsewhere.call("sample run --given - --count 1 --most-probable", kBothOne)).at(0);
  CHECK(best.at("x") == Json{1, 1, 0, 0, 0});
  CHECK(best.at("log_prob").get<double>() == doctest::Approx(3 * std::log(0.75)));
}
