// What metrics declare, read back where no plugin is loaded, and how a comparison is ranked by it.
#include "written_study.h"

#include "records/report/measurement_facts.h"

using namespace marginalia;
using test::Written;

namespace {

MetricFacts some_facts() {
  return MetricFacts(Json::parse(R"({
      "glow": [{"estimator": "soot_*", "better": "higher", "column": "own"},
               {"estimator": "soot_fine_*", "better": "lower"},
               {"estimator": "ember", "label": "afterglow", "unit": "lumens", "better": "lower"},
               {"estimator": "*", "plot": "by size"}],
      "haze": [{"estimator": "a", "better": "lower", "column": "shared"},
               {"estimator": "b", "better": "lower", "column": "aside", "plot": "of a later version"}],
      "odd": "no list", "empty": []})"));
}

}  // namespace

TEST_CASE("the name that fits an estimator best says what it is") {
  const auto facts = some_facts();
  CHECK(facts.find("glow/ember")->label == "afterglow");
  CHECK(facts.find("glow/soot_dark")->estimator == "soot_*");
  CHECK(facts.find("glow/soot_fine_dust")->estimator == "soot_fine_*");
  CHECK(facts.find("glow/ember_2")->estimator == "*");
  CHECK(facts.find("haze/c") == nullptr);
  CHECK(facts.find("odd/a") == nullptr);
  CHECK(facts.find("unknown") == nullptr);
  CHECK((facts.plot("glow/other") == PlotKind::kBySize));
  CHECK((facts.plot("haze/b") == PlotKind::kNone));
  CHECK((facts.column("haze/b") == ColumnKind::kAside));
}

TEST_CASE("an error of something is called so, and other measurements by their keys") {
  const MetricFacts facts(Json::parse(R"({
      "observables": [{"estimator": "*", "label": "error of observables"}],
      "error": [{"estimator": "*", "label": "marginal error"}]})"));
  CHECK(facts.error_label("observables/two_point") == "error of two point");
  CHECK(facts.error_label("observables").empty());
  CHECK(facts.error_label("error/two_point").empty());
  CHECK(facts.error_label("unknown/two_point").empty());
}

TEST_CASE("a metric has a direction as a whole where all its measurements have that one") {
  const auto facts = some_facts();
  CHECK((facts.better("glow/ember") == Better::kLower));
  CHECK((facts.better("glow/soot_dark") == Better::kHigher));
  CHECK((facts.better("glow") == Better::kNeither));
  CHECK((facts.better("haze") == Better::kLower));
  CHECK((facts.better("unknown") == Better::kNeither));
}

TEST_CASE("facts are kept for metrics alone that are asked for, and added where they lack") {
  const auto facts = some_facts();
  const auto haze = facts.of({"haze", "unknown", "odd"});
  CHECK(haze.size() == 1);
  CHECK(MetricFacts(haze).find("haze/a")->column == ColumnKind::kShared);
  const MetricFacts other(Json::parse(R"({"haze": [{"estimator": "a", "better": "higher"}],
                                          "new": [{"estimator": "*", "better": "higher"}]})"));
  const auto both = facts.with(other);
  CHECK((both.better("haze/a") == Better::kLower));  // its own go before
  CHECK((both.better("new") == Better::kHigher));
}

TEST_CASE("declarations pass through JSON unchanged") {
  const std::vector<MeasurementInfo> declared{{"soot_*", "glow", "of a sample", "lumens",
                                               Better::kHigher, PlotKind::kReliability,
                                               ColumnKind::kAside}};
  const auto read = parse_measurement_facts(to_json(declared));
  REQUIRE(read.size() == 1);
  CHECK(read[0].estimator == "soot_*");
  CHECK(read[0].label == "glow");
  CHECK(read[0].meaning == "of a sample");
  CHECK(read[0].unit == "lumens");
  CHECK((read[0].better == Better::kHigher));
  CHECK((read[0].plot == PlotKind::kReliability));
  CHECK((read[0].column == ColumnKind::kAside));
}

TEST_CASE("without facts a comparison has no direction, and a column for every estimator") {
  const Written written;
  const auto comparison = to_json(compare(written.directory, {}));
  std::vector<std::string> keys;
  for (const auto& column : comparison.at("table").at("columns"))
    if (column.at("kind") == "quality") {
      CHECK(column.at("better").is_null());
      keys.push_back(column.at("key"));
    }
  CHECK(keys == std::vector<std::string>{"nll/one_pass", "nll/ensemble", "ess", "marginal_error",
                                         "calibration"});
  for (const auto& row : comparison.at("table").at("rows"))
    for (const auto& cell : row.at("cells"))
      CHECK_FALSE(cell.contains("best"));
  CHECK(comparison.at("facts").empty());
}

TEST_CASE("what is known beside the model is in no column but its own") {
  const MetricFacts facts(Json::parse(R"({"nll": [
      {"estimator": "ensemble", "better": "lower", "column": "aside"},
      {"estimator": "*", "better": "lower", "column": "shared"}]})"));
  const auto estimators = [&](const std::string& metric) {
    const Written written([&](CompareParams& compare) { compare.metrics = {metric}; });
    const auto comparison = to_json(compare(written.directory, facts));
    CHECK(comparison.at("table").at("columns").at(0).at("key") == metric);
    return comparison.at("table").at("rows").at(0).at("cells").at(0).at("estimator");
  };
  CHECK(estimators("nll") == "one_pass");
  CHECK(estimators("nll/ensemble") == "ensemble");
}

TEST_CASE("a comparison keeps the facts of metrics whose plugin is no longer there") {
  const Written written;
  const auto before = to_json(write_comparison(written.directory, test::facts()));
  CHECK(before.at("facts").contains("nll"));
  CHECK_FALSE(before.at("facts").contains("marginal_seconds"));  // not measured
  const auto after = to_json(write_comparison(written.directory, {}));
  CHECK(after.at("facts") == before.at("facts"));
  CHECK(after.at("table") == before.at("table"));
}
