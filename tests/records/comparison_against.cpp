// What is drawn against a number of the grid, and tables that can be read.
#include "by_hand.h"

#include <cmath>
#include <numbers>
#include <sstream>

using namespace marginalia;
using test::ByHand, test::find_cell, test::figure_called;

namespace {

constexpr const char* kAxisFacts = R"({
  "kl": [{"estimator": "*", "better": "lower"}],
  "log_z": [{"estimator": "importance", "column": "shared"}, {"estimator": "exact", "column": "aside"}],
  "observables": [{"estimator": "energy", "label": "error of observables"},
                  {"estimator": "two_point", "label": "error of observables"}]})";

/// The ratios do not come in their order.
const std::string kAlongRatios =
    R"("variants": {"mam": {}, "mcmc": {"network.width": 2}},
       "grid": {"energy.ratio": [0.5, 0.25, 0.75]}, "seeds": 2,
       "compare": {"against": "energy.ratio"})";

double ratio_in(const StudyExperiment& e) {
  return e.spec.at("energy").at("ratio").get<double>();
}

Json measured_along(const StudyExperiment& e) {
  const auto x = ratio_in(e), off = e.spec.at("seed") == 1 ? 0.2 : 0.0;
  Json metrics;
  metrics["kl"]["importance"] = {{"value", x + off}, {"unit", "nats"}};
  if (e.variant == "mam") metrics["log_z"]["importance"] = {{"value", 2 * x + off}};
  metrics["log_z"]["exact"] = {{"value", 2 * x}, {"status", "exact"}};
  metrics["observables"]["energy"] = {{"value", 0.1},
                                      {"unit", "nats per site"},
                                      {"model", -x + off},
                                      {"reference", -x + 0.01},
                                      {"exact", -x}};
  metrics["observables"]["two_point"] = {{"value", 0.1},
                                         {"model", {x, x * x + off}},
                                         {"reference", {x, x * x}},
                                         {"by_distance", {{{"distance", 1}}, {{"distance", 2}}}}};
  metrics["observables"]["magnetisation"] = {
      {"value", 0.1}, {"model", {-x, x}}, {"reference", {-x, x}}};
  return metrics;
}

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    longest = std::max(longest, std::size_t(std::ranges::count_if(line, [](char c) {
                         return (static_cast<unsigned char>(c) >> 6) != 2;
                       })));
  return longest;
}

}  // namespace

TEST_CASE("metrics and observables are drawn against a number of the grid") {
  const ByHand by_hand(kAlongRatios, measured_along);
  CHECK(by_hand.study.row_names() == std::vector<std::string>{"mam", "mcmc"});
  const auto comparison = to_json(by_hand.compared(kAxisFacts));
  CHECK(comparison.at("against") == "energy.ratio");
  CHECK(comparison.at("columns") == "energy.ratio");  // the tables' too, where no other is named
  const auto kl = figure_called(comparison, "against-kl");
  REQUIRE(kl.is_object());
  CHECK(kl.at("group") == "against");
  CHECK(kl.at("x").at("label") == "ratio");
  REQUIRE(kl.at("series").size() == 2);
  const auto& mam = kl.at("series").at(0);
  CHECK(mam.at("x") == Json{0.25, 0.5, 0.75});  // from the least on
  for (std::size_t i = 0; i < 3; ++i) {
    const auto x = mam.at("x").at(i).get<double>();
    CHECK(mam.at("y").at(i).get<double>() == doctest::Approx(x + 0.1));
    CHECK(mam.at("high").at(i).get<double>() == doctest::Approx(x + 0.2));  // of two seeds 0.1
    CHECK(mam.at("low").at(i).get<double>() == doctest::Approx(x));
  }
  const auto log_z = figure_called(comparison, "against-log-z").at("series");
  REQUIRE(log_z.size() == 2);  // mcmc says none
  CHECK(log_z.at(0).at("label") == "mam, importance");
  CHECK(log_z.at(1).at("label") == "exact");
  CHECK(log_z.at(1).at("y") == Json{0.5, 1.0, 1.5});
  CHECK(log_z.at(1).at("style") == "dashed");
}

TEST_CASE("observables stand beside their exact value, else the reference's") {
  const ByHand by_hand(kAlongRatios, measured_along);
  const auto comparison = to_json(by_hand.compared(kAxisFacts));
  const auto energy = figure_called(comparison, "against-energy");
  REQUIRE(energy.is_object());
  CHECK(energy.at("y").at("label") == "energy, nats per site");
  REQUIRE(energy.at("series").size() == 3);
  CHECK(energy.at("series").at(1).at("y").at(0).get<double>() == doctest::Approx(-0.15));
  CHECK(energy.at("series").at(2).at("label") == "exact");
  CHECK(energy.at("series").at(2).at("y") == Json{-0.25, -0.5, -0.75});
  const auto far = figure_called(comparison, "against-two-point-distance-2").at("series");
  CHECK(far.at(2).at("label") == "reference");
  CHECK(far.at(2).at("y").at(1).get<double>() == doctest::Approx(0.25));
  // Of spins the magnetisations of both values are one number with two signs.
  CHECK(figure_called(comparison, "against-magnetisation").at("series").at(0).at("y") ==
        Json{0.25, 0.5, 0.75});
  CHECK(figure_called(comparison, "against-error-of-energy").is_object());
}

TEST_CASE("tables on a terminal are aligned, and no wider than it") {
  const ByHand by_hand(
      R"("variants": {"mam": {}, "another_family_of_a_long_name": {"network.width": 2}},
         "grid": {"energy.ratio": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]}, "seeds": 2,
         "compare": {"against": "energy.ratio"})",
      measured_along, [](auto& compare) {
        compare.metrics = {"kl", "log_z"};
      });
  const auto compared = by_hand.compared(kAxisFacts);
  for (const std::size_t width : {60, 100, 200}) {
    CAPTURE(width);
    const auto text = terminal_tables(compared, width);
    CHECK(longest_line(text) <= width);
    CHECK(longest_line(text) > width / 2);
    CHECK(text.find("kl, nats \u2193, by ratio") != std::string::npos);
    CHECK(text.find("|") == std::string::npos);
  }
  // A row's numbers end where those of the row above end.
  std::istringstream in(terminal_tables(compared, 100));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);)
    lines.push_back(line);
  const auto head = std::ranges::find_if(lines, [](const std::string& line) {
    return line.starts_with("row ") && line.find("mean rank") != std::string::npos;
  });
  REQUIRE(head != lines.end());
  CHECK((head + 1)->find_first_not_of('-') == std::string::npos);
  CHECK((head + 2)->starts_with("mam "));
  const auto find_end = [](const std::string& line, const std::string& word) {
    return line.find(word) + word.size();
  };
  // Means over the ratios: 0.55 + 0.1 of each row, so that both share the rank 1.5.
  CHECK(find_end(*head, "mean rank") ==
        find_end(*(head + 2), "1.5") - 1);  // the sign of the error has two bytes
}
