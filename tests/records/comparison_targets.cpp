// Comparisons over several targets: means of means, and differences within one target.
#include "by_hand.h"

#include <cmath>

#include "records/comparison/comparison_layout.h"

using namespace marginalia;
using test::ByHand, test::find_cell, test::figure_called;

namespace {

constexpr const char* kKlFacts = R"({"kl": [{"estimator": "*", "better": "lower"}]})";

/// Two variants at sizes 3 and 4 of the energy, three seeds each.
double kl_at(const StudyExperiment& e) {
  const bool large = e.spec.at("energy").at("size") == 4, arm = e.variant == "arm";
  const std::vector<double> values =
      arm     ? large ? std::vector<double>{10, 12, 14} : std::vector<double>{1, 2, 3}
          : large ? std::vector<double>{11, 14, 14.5}
              : std::vector<double>{1.5, 2.7, 3.3};
  return values[e.spec.at("seed").get<std::size_t>()];
}
Json measured_kl(const StudyExperiment& e) {
  return {{"kl", {{"importance", {{"value", kl_at(e)}, {"unit", "nats"}}}}}};
}
const std::string kTwoSizes = R"("variants": {"mam": {}, "arm": {"network.width": 2}},
                             "grid": {"energy.size": [3, 4]}, "seeds": 3)";

std::string two_sizes_with(const std::string& compare) {
  return kTwoSizes + R"(, "compare": {)" + compare + "}";
}

auto close_to(double value) {
  return doctest::Approx(value).epsilon(1e-9);
}

}  // namespace

TEST_CASE("over columns the mean is of their means, and its error that of the seeds") {
  const ByHand by_hand(two_sizes_with(R"("columns": "energy.size", "baseline": "arm")"),
                       measured_kl);
  const auto comparison = to_json(by_hand.compared(kKlFacts));
  const auto& mam = find_cell(comparison, "mam", "kl");
  CHECK(mam.at("n") == 6);
  // Means 2.5 and 79/6; errors of the seeds, not of six numbers.
  CHECK(mam.at("mean").get<double>() == close_to((2.5 + 79.0 / 6) / 2));
  CHECK(mam.at("stderr").get<double>() ==
        close_to(0.6071335200028994));  // statistics.stdev of Python
  CHECK(find_cell(comparison, "arm", "kl").at("stderr").get<double>() ==
        close_to(std::sqrt(1.0 / 3 + 4.0 / 3) / 2));
  const auto& difference = mam.at("difference");
  CHECK(difference.at("from") == "arm");
  CHECK(difference.at("mean").get<double>() == close_to((0.5 + 7.0 / 6) / 2));
  CHECK(difference.at("stderr").get<double>() == close_to(0.22791323885295578));
  CHECK(difference.at("df").get<double>() == close_to(2.273002047515357));
  CHECK(difference.at("p").get<double>() == close_to(0.055325012901));  // as in statistics.cpp
  const auto& large = find_cell(comparison, "mam", "kl of 4").at("difference");
  CHECK(large.at("mean").get<double>() == close_to(7.0 / 6));
  CHECK(large.at("df") == 2);
  CHECK(find_cell(comparison, "mam", "kl").at("mean_rank") == 2);
  CHECK(find_cell(comparison, "arm", "kl").at("mean_rank") == 1);
  CHECK_FALSE(find_cell(comparison, "arm", "kl of 4").contains("mean_rank"));
  // Costs by the same rule: 30 + seed and 40 + seed, each with the error 1 / sqrt(3).
  const auto& parameters = find_cell(comparison, "mam", "parameters");
  CHECK(parameters.at("mean").get<double>() == close_to(36));
  CHECK(parameters.at("stderr").get<double>() == close_to(std::sqrt(2.0 / 3) / 2));
}

TEST_CASE("ranks of equal rows are shared, and higher may be better") {
  const ByHand by_hand(
      R"("variants": {"a": {}, "b": {"network.width": 2}, "c": {"network.width": 3}},
         "grid": {"energy.size": [3, 4]}, "seeds": 1, "compare": {"columns": "energy.size"})",
      [](const StudyExperiment& e) -> Json {
        const bool large = e.spec.at("energy").at("size") == 4;
        const auto value = e.variant == "a" ? 5.0 : e.variant == "b" && large ? 7.0 : 4.0;
        return {{"kl", {{"importance", {{"value", value}, {"stderr", 0.5}}}}}};
      });
  const auto comparison =
      to_json(by_hand.compared(R"({"kl": [{"estimator": "*", "better": "higher"}]})"));
  // Size 3: 5, 4, 4 -> ranks 1, 2.5, 2.5. Size 4: 5, 7, 4 -> ranks 2, 1, 3.
  CHECK(find_cell(comparison, "a", "kl").at("mean_rank") == 1.5);
  CHECK(find_cell(comparison, "b", "kl").at("mean_rank") == 1.75);
  CHECK(find_cell(comparison, "c", "kl").at("mean_rank") == 2.75);
  // A single run a column: its own error where it stands, none of the mean, and no test.
  CHECK(find_cell(comparison, "a", "kl of 3").at("stderr") == 0.5);
  const auto& mean = find_cell(comparison, "b", "kl");
  CHECK(mean.at("mean") == 5.5);
  CHECK(mean.at("stderr").is_null());
  CHECK(mean.at("stderr_of") == "none");
  CHECK(mean.at("why") == "no error: a single run at 3, 4");
  CHECK(mean.at("difference").at("mean") == 0.5);
  CHECK(mean.at("difference").at("p").is_null());
}

TEST_CASE("a metric that the baseline lacks has no table of differences") {
  const auto measured = [](const StudyExperiment& e) {
    auto metrics = measured_kl(e);
    if (e.variant == "mam") metrics["ess"] = metrics["kl"];
    return metrics;
  };
  const ByHand by_hand(two_sizes_with(R"("columns": "energy.size", "baseline": "arm")"), measured,
                       [](CompareParams& compare) {
                         compare.metrics = {"kl", "ess"};
                       });
  const auto all = comparison::grids(by_hand.compared(kKlFacts), {"", ""});
  int tables = 0;
  for (const auto& grid : all)
    if (!grid.rows.empty() && grid.heads.front() == "less arm") {
      ++tables;
      CHECK(grid.title.starts_with("kl"));
    }
  CHECK(tables == 1);
}

TEST_CASE("a row that lacks a column has no mean over all, and says which it lacks") {
  const ByHand by_hand(two_sizes_with(R"("columns": "energy.size", "baseline": "arm")"),
                       [](const StudyExperiment& e) -> Json {
                         const bool left_out =
                             e.variant == "mam" && e.spec.at("energy").at("size") == 4;
                         return left_out ? Json() : measured_kl(e);
                       });
  const auto compared = by_hand.compared(kKlFacts);
  const auto comparison = to_json(compared);
  const auto& mam = find_cell(comparison, "mam", "kl");
  CHECK(mam.at("n") == 3);
  for (const auto* key : {"mean", "stderr", "mean_rank", "best"})
    CHECK_FALSE(mam.contains(key));
  CHECK(mam.at("text") == "\u2013");
  CHECK(mam.at("lacks") == Json{"4"});
  CHECK(mam.at("why") == "lacks 4: no finished run");
  CHECK(mam.at("difference").at("n") == 0);
  CHECK(mam.at("difference").at("mean").is_null());
  CHECK(find_cell(comparison, "mam", "kl of 3").at("mean").get<double>() == close_to(2.5));
  CHECK_FALSE(find_cell(comparison, "mam", "parameters").contains("mean"));
  const auto markdown = markdown_table(compared);
  CHECK(markdown.find("| mam | \u2013 (a) |") != std::string::npos);
  CHECK(markdown.find("(a) lacks 4: no finished run") != std::string::npos);
}

TEST_CASE("without columns differences, tests and the best are within one target") {
  const ByHand by_hand(two_sizes_with(R"("baseline": "arm")"), measured_kl);
  const auto compared = by_hand.compared(kKlFacts);
  const auto comparison = to_json(compared);
  CHECK(comparison.at("baseline") == "arm");
  const auto check = [&](const std::string& size, double difference) {
    CAPTURE(size);
    const auto& cell = find_cell(comparison, "mam, size " + size, "kl");
    CHECK(cell.at("difference").at("from") == "arm, size " + size);
    CHECK(cell.at("difference").at("mean").get<double>() == close_to(difference));
    CHECK_FALSE(find_cell(comparison, "arm, size " + size, "kl").contains("difference"));
    CHECK(find_cell(comparison, "arm, size " + size, "kl").at("best") ==
          true);  // of its own target
    CHECK_FALSE(cell.contains("best"));
  };
  check("3", 0.5);
  check("4", 7.0 / 6);
  std::set<std::pair<std::string, std::string>> pairs;
  for (const auto& pair : comparison.at("table").at("pairs"))
    pairs.emplace(pair.at("a"), pair.at("b"));
  CHECK(pairs == std::set<std::pair<std::string, std::string>>{{"mam, size 3", "arm, size 3"},
                                                               {"mam, size 4", "arm, size 4"}});
}

TEST_CASE("the full name of a row is the baseline at its own target alone") {
  const ByHand by_hand(two_sizes_with(R"("baseline": "arm, size 3")"), measured_kl);
  const auto comparison = to_json(by_hand.compared(kKlFacts));
  CHECK(comparison.at("baseline") == "arm, size 3");
  CHECK(find_cell(comparison, "mam, size 3", "kl").at("difference").at("mean").get<double>() ==
        close_to(0.5));
  CHECK_FALSE(find_cell(comparison, "mam, size 4", "kl").contains("difference"));
  const ByHand first(kTwoSizes, measured_kl);  // without a baseline: the first row of each target
  const auto of_first = to_json(first.compared(kKlFacts));
  CHECK(of_first.at("baseline") == "the first row of each target");
  CHECK(find_cell(of_first, "arm, size 4", "kl").at("difference").at("from") == "mam, size 4");
}

TEST_CASE("a row that spans targets weighs them alike") {
  const ByHand by_hand(two_sizes_with(R"("rows": ["variant"], "baseline": "arm")"), measured_kl);
  const auto comparison = to_json(by_hand.compared(kKlFacts));
  const auto& mam = find_cell(comparison, "mam", "kl");
  CHECK(mam.at("mean").get<double>() == close_to((2.5 + 79.0 / 6) / 2));
  CHECK(mam.at("stderr").get<double>() == close_to(0.6071335200028994));
  CHECK(mam.at("difference").at("stderr").get<double>() == close_to(0.22791323885295578));
  CHECK(comparison.at("table").at("columns").at(0).at("key") == "kl");
  CHECK_FALSE(comparison.at("table").at("columns").at(1).contains("of"));
}

TEST_CASE("plots are not pooled over targets, and power laws are of one each") {
  const ByHand by_hand(
      two_sizes_with(R"("rows": ["variant"])"),
      [](const StudyExperiment& e) -> Json {
        auto metrics = measured_kl(e);
        const auto predicted = e.spec.at("energy").at("size") == 4 ? 0.2 : 0.4;
        metrics["calibration"]["one_pass"] = {
            {"value", 0.1},
            {"bins", {{{"predicted", predicted}, {"observed", predicted / 2}, {"count", 10}}}}};
        metrics["marginal_error"]["one_pass"] = {{"value", 0.1},
                                                 {"by_size", {{{"size", 1}, {"rms", kl_at(e)}}}}};
        return metrics;
      },
      [](auto& compare) { compare.scaling.metric = "kl/importance"; });
  for (const auto& e : by_hand.study.experiments)
    write_atomically(by_hand.run(e) / "metrics.jsonl",
                     fmt::format("{{\"step\": 10, \"seconds\": 1, \"train/passes\": 5}}\n"
                                 "{{\"step\": 10, \"seconds\": 1, \"eval/kl/importance\": {}}}\n",
                                 kl_at(e)));
  const auto comparison = to_json(by_hand.compared(kKlFacts));
  for (const auto* id : {"calibration", "size-marginal_error", "curve-kl-step"})
    CHECK(figure_called(comparison, id).is_null());
  const auto first = [&](const std::string& id) {
    CAPTURE(id);
    const auto figure = figure_called(comparison, id);
    REQUIRE(figure.is_object());
    return figure.at("series").at(0);  // of mam
  };
  CHECK(first("calibration-size-4").at("x") == Json{0.2});
  CHECK(first("calibration-size-4").at("n") == Json{30});
  CHECK(first("size-marginal_error-size-3").at("y").at(0).get<double>() == close_to(2.5));
  CHECK(first("curve-kl-step-size-4").at("y").at(0).get<double>() == close_to(79.0 / 6));
  const auto& laws = comparison.at("scaling").at("laws");
  REQUIRE(laws.size() == 8);
  CHECK(laws.at(0).at("target") == "size 3");
  CHECK(laws.at(7).at("target") == "size 4");
  CHECK(figure_called(comparison, "scaling-data-size-3").is_object());
}
