// By which estimator a number stands in a column, and that only like is tested with like.
#include "by_hand.h"

using namespace marginalia;
using test::ByHand, test::find_cell;

namespace {

constexpr const char* kWaysFacts = R"({
  "log_z": [{"estimator": "importance", "column": "shared"}, {"estimator": "learned", "column": "shared"},
            {"estimator": "*", "column": "shared"}, {"estimator": "exact", "column": "aside"},
            {"estimator": "certified", "column": "aside"}],
  "nll": [{"estimator": "exact", "better": "lower", "column": "shared"},
          {"estimator": "ensemble", "better": "lower", "column": "shared"},
          {"estimator": "*", "better": "lower", "column": "shared"}]})";

const std::string kThreeRows =
    R"("variants": {"a": {}, "b": {"network.width": 2}, "c": {"network.width": 3}}, "seeds": 3,
       "compare": {"baseline": "a"})";

/// Of rows a, b and c: log Z by importance and by a parameter, of c by the parameter alone; nll
/// exactly in two ways, of c by an ensemble.
Json measured_ways(const StudyExperiment& e) {
  const auto seed = e.spec.at("seed").get<double>();
  const auto noise = seed * seed * (e.variant == "b" ? 0.1 : 0.2);
  Json metrics;
  metrics["log_z"]["learned"] = {{"value", seed}, {"status", "estimate"}};
  if (e.variant != "c")
    metrics["log_z"]["importance"] = {{"value", 7 + noise}, {"status", "estimate"}};
  metrics["log_z"]["certified"] = {{"value", 7.1}, {"status", "exact"}};
  metrics["log_z"]["exact"] = {{"value", 7.1}, {"status", "exact"}};
  const auto* way = e.variant == "a" ? "one_pass" : e.variant == "b" ? "chain" : "ensemble";
  metrics["nll"][way] = {{"value", 5 + noise}, {"status", e.variant == "c" ? "upper" : "exact"}};
  return metrics;
}

const auto show_both = [](auto& compare) { compare.metrics = {"log_z", "nll"}; };

}  // namespace

TEST_CASE("log Z stands as the model's samples vouch for it, the energy's own figures apart") {
  const ByHand by_hand(kThreeRows, measured_ways, show_both);
  const auto compared = by_hand.compared(kWaysFacts);
  const auto comparison = to_json(compared);
  CHECK(find_cell(comparison, "a", "log_z").at("estimator") == "importance");
  CHECK(find_cell(comparison, "a", "log_z").at("mean").get<double>() ==
        doctest::Approx(7 + 0.2 * 5 / 3));
  CHECK(find_cell(comparison, "c", "log_z").at("estimator") == "learned");
  CHECK(find_cell(comparison, "c", "log_z").at("mean") == 1);
  const auto& same = find_cell(comparison, "b", "log_z").at("difference");
  CHECK(same.at("p").is_number());
  const auto& other = find_cell(comparison, "c", "log_z").at("difference");
  CHECK(other.at("p").is_null());
  CHECK_FALSE(other.contains("p_holm"));
  CHECK(other.at("untested") == "not tested: learned here, importance there");
  for (const auto& pair : comparison.at("table").at("pairs"))
    if (pair.at("column") == "log_z") CHECK(pair.at("p").is_number() == (pair.at("b") != "c"));
  for (const auto& text : {markdown_table(compared), latex_table(compared), csv_table(compared),
                           terminal_tables(compared, 100)}) {
    CHECK(text.find("importance") != std::string::npos);
    CHECK(text.find("learned") != std::string::npos);
  }
}

TEST_CASE("what is exact is one estimator, however it was come by") {
  const ByHand by_hand(kThreeRows, measured_ways, show_both);
  const auto comparison = to_json(by_hand.compared(kWaysFacts));
  CHECK(find_cell(comparison, "a", "nll").at("estimator") == "exact");
  CHECK(find_cell(comparison, "b", "nll").at("estimator") == "exact");
  CHECK(find_cell(comparison, "b", "nll").at("difference").at("p").is_number());
  CHECK(find_cell(comparison, "c", "nll").at("estimator") == "ensemble");
  CHECK(find_cell(comparison, "c", "nll").at("difference").at("p").is_null());
}

TEST_CASE("the runs of a row stand by the best estimator that all of them have") {
  const ByHand by_hand(kThreeRows, [](const StudyExperiment& e) -> Json {
    auto metrics = measured_ways(e);
    if (e.name == "b-seed1") metrics["log_z"].erase("importance");
    if (e.name == "c-seed2") metrics["log_z"] = {{"importance", {{"value", 7.0}}}};
    return metrics;
  });
  const auto comparison = to_json(by_hand.compared(kWaysFacts));
  const auto& b = find_cell(comparison, "b", "log_z");
  CHECK(b.at("estimator") == "learned");
  CHECK(b.at("mean") == 1);
  // Where they share none, both are named, and nothing is tested.
  CHECK(find_cell(comparison, "c", "log_z").at("estimator") == "learned, importance");
  CHECK(find_cell(comparison, "c", "log_z").at("difference").at("p").is_null());
}

TEST_CASE("an error of something is called so") {
  const ByHand by_hand(
      R"("variants": {"a": {}, "b": {"network.width": 2}}, "seeds": 2)",
      [](const StudyExperiment&) -> Json {
        return {
            {"observables", {{"energy", {{"value", 0.1}}}, {"magnetisation", {{"value", 0.2}}}}}};
      });
  const auto comparison = to_json(by_hand.compared(R"({"observables": [
      {"estimator": "energy", "label": "error of observables"},
      {"estimator": "magnetisation", "label": "error of observables"}]})"));
  CHECK(comparison.at("table").at("columns").at(0).at("label") == "error of energy");
  CHECK(comparison.at("table").at("columns").at(1).at("label") == "error of magnetisation");
}
