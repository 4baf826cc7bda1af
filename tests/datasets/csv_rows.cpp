// Rows of a CSV file that count differently, whose gaps the other columns tell of, and whose
// numbers are handed over as they were recorded.
#include <cmath>
#include <numeric>
#include <random>

#include <nlohmann/json.hpp>

#include "csv_data.h"
#include "datasets/csv/weights.h"
#include "shared/tables/gaps.h"

using namespace marginalia;
using namespace marginalia::tables;
using marginalia::csv::drawn_by_weight;
using test::CsvData;

TEST_CASE("csv: rows are drawn as often as they count, or one more or less") {
  const std::vector<double> weights{0, 1, 2, 0.5, 4, 0.5, 100};
  const std::vector<std::int64_t> rows{0, 1, 2, 3, 4, 5};  // the seventh is of another split
  const auto drawn = drawn_by_weight(rows, weights);
  CHECK(drawn.size() == rows.size());
  for (const auto row : rows) {
    const auto times = double(std::ranges::count(drawn, row));
    const auto wanted = weights[std::size_t(row)] / 8 * 6;
    CHECK(times >= std::floor(wanted));
    CHECK(times <= std::ceil(wanted));
  }
  CHECK(drawn_by_weight({}, weights).empty());
  CHECK(test::refusal([&] { drawn_by_weight({0}, weights); }) ==
        "\"weight\": all 1 rows of a split have the weight 0");
  std::vector<double> even(1000, 0.1);
  std::vector<std::int64_t> all(1000);
  std::iota(all.begin(), all.end(), std::int64_t{0});
  CHECK(drawn_by_weight(all, even) == all);
}

namespace {

std::string weighted_rows() {
  std::string text = "sex,job,count\n";
  for (int n = 0; n < 100; ++n)
    text += fmt::format("{},{},{}\n", n % 2 ? "male" : "female", n % 3 ? "smith" : "clerk",
                        n % 2 ? 3.0 : 1.0);
  return text;
}

}  // namespace

TEST_CASE("csv: a weight is no variable; it decides how often rows are learned from") {
  const CsvData plain(weighted_rows(), R"(, "integers": ["count"])");
  CHECK(plain.data->space().names == std::vector<std::string>{"sex", "job", "count"});
  CHECK_FALSE(plain.data->weights(Split::kTest, torch::arange(10)).defined());
  const CsvData weighted(weighted_rows(), R"(, "weight": "count")");
  CHECK(weighted.data->space().names == std::vector<std::string>{"sex", "job"});
  const auto share_of_men = [](const torch::Tensor& rows, const std::string& first) {
    return (rows.select(1, 0) == (first == "male" ? 0 : 1))
        .to(torch::kDouble)
        .mean()
        .item<double>();
  };
  const auto labels = weighted.data->description().at("schema").at("columns")[0].at("labels");
  const auto first = labels[0].get<std::string>();
  CHECK(share_of_men(weighted.rows(Split::kTrain), first) == doctest::Approx(0.75).epsilon(0.05));
  // Test rows stand once, each with its weight.
  const auto weights = weighted.data->weights(Split::kTest, torch::arange(10));
  const auto rows = weighted.rows(Split::kTest);
  REQUIRE(weights.numel() == 10);
  for (std::int64_t n = 0; n < 10; ++n) {
    const bool male = labels[std::size_t(rows[n][0].item<std::int64_t>())] == "male";
    CHECK(weights[n].item<double>() == (male ? 3 : 1));
  }
  const auto refused = [](const std::string& text, const std::string& more) {
    return test::refusal([&] { const CsvData table(text, more); });
  };
  CHECK(
      refused("a,w\nx,1\ny,-2\nx,3\n", R"(, "weight": "w")")
          .ends_with("column \"w\" is negative in row 2: a weight must be a number of 0 or more"));
  CHECK(refused("a,w\nx,1\ny,\nx,3\n", R"(, "weight": "w")").find("is missing in row 2") !=
        std::string::npos);
  CHECK(refused("a,w\nx,1\ny,2\nx,3\n", R"(, "weight": "a")").find("texts that are no numbers") !=
        std::string::npos);
}

TEST_CASE("csv: Pearson's test is what its formula says, few rows of a level together") {
  // 2 x 3, none few: sum (o - e)^2 / e on 2 degrees: p = exp(-x / 2).
  const auto link = test_independence({{30, 20}, {40, 10}, {30, 20}});
  const double x =
      2 * (std::pow(30 - 100. / 3, 2) / (100. / 3) + std::pow(20 - 50. / 3, 2) / (50. / 3)) +
      std::pow(40 - 100. / 3, 2) / (100. / 3) + std::pow(10 - 50. / 3, 2) / (50. / 3);
  CHECK(link.p == doctest::Approx(std::exp(-x / 2)).epsilon(1e-12));
  CHECK(link.strength == doctest::Approx(std::sqrt(x / 150)).epsilon(1e-12));
  // Three levels of four rows each are one of twelve.
  const auto apart = test_independence({{50, 50}, {50, 50}, {4, 0}, {4, 0}, {3, 1}});
  const auto together = test_independence({{50, 50}, {50, 50}, {11, 1}});
  CHECK(apart.p == together.p);
  CHECK(apart.p < 0.05);
  CHECK(test_independence({{50, 50}, {1, 0}}).p == 1);  // nothing is left to compare
  CHECK(test_independence({{50, 0}, {50, 0}}).p == 1);
}

TEST_CASE("csv: columns that tell of gaps are named, and few others are") {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform;
  int false_alarms = 0;
  for (int time = 0; time < 20; ++time) {
    std::string text = "told,chance,by,other\n";
    for (int n = 0; n < 600; ++n) {
      const bool high = uniform(random) < 0.4;
      const auto value = [&](double gap) {
        return uniform(random) < gap ? std::string() : fmt::format("{}", n * n % 5);
      };
      text += fmt::format("{},{},{},{}\n", value(high ? 0.4 : 0.1), value(0.2), high ? "yes" : "no",
                          n * n % 3 == 1 ? "a" : "b");
    }
    const CsvData table(text);
    const auto tests = table.data->description().at("gap_tests");
    REQUIRE(tests.size() == 2);
    CHECK(tests[0].at("column") == "told");
    REQUIRE(!tests[0].at("with").empty());
    CHECK(tests[0].at("with")[0].at("column") == "by");
    CHECK(tests[0].at("with")[0].at("cramers_v").get<double>() ==
          doctest::Approx(0.35).epsilon(0.4));
    false_alarms += int(tests[0].at("with").size()) - 1 + int(tests[1].at("with").size());
    CHECK(table.data->summary().find("told: by (0.") != std::string::npos);
  }
  CHECK(false_alarms <= 2);  // one in a hundred tables is expected to have one
  const CsvData whole("a,b\nx,1\ny,2\nx,3\ny,1\nx,2\ny,3\nx,1\ny,2\nx,3\ny,5\n");
  CHECK_FALSE(whole.data->description().contains("gap_tests"));
  CHECK(whole.data->summary().find("missing at random") == std::string::npos);
}

TEST_CASE("csv: numbers are handed over in units of their resolution where all are") {
  std::string text = "size,count\n";
  for (int n = 0; n < 60; ++n)
    text += fmt::format("{:.2f},{}\n", n % 7 == 0 ? 1.25 : 0.01 * n * n, n % 9);
  const CsvData table(text);
  const auto all = torch::arange(table.data->size(Split::kTrain));
  const auto recorded = table.data->recorded(Split::kTrain, all);
  REQUIRE(recorded.defined());
  CHECK(recorded.equal(recorded.round()));
  CHECK((recorded.select(1, 0) == 125).any().item<bool>());
  CHECK(recorded.select(1, 1).max().item<double>() == 8);
  const CsvData mixed("s,n\nx,1\ny,2\nx,3\ny,1\nx,2\ny,3\nx,1\ny,2\nx,3\ny,5\n");
  CHECK_FALSE(mixed.data->recorded(Split::kTrain, torch::arange(2)).defined());
}

TEST_CASE("csv: numbers, dates and integers lie on a scale, labels and gaps do not") {
  std::string text = "size,day,rooms,owner\n";
  for (int n = 0; n < 200; ++n)
    text += fmt::format("{},2024-01-{:02},{},{}\n", n % 9 == 4 ? "" : fmt::format("{}.5", n * n),
                        n % 28 + 1, n % 3, n % 2 ? "yes" : "no");
  const CsvData table(text, R"(, "bins": 4, "gaps_as_values": ["size"])");
  const auto& space = table.data->space();
  const auto ordered = table.data->ordered();
  auto expected = space.possible();
  expected[0][space.cardinalities[0] - 1] = false;  // the gap
  expected[3].fill_(false);
  CHECK(space.names == std::vector<std::string>{"size", "day", "rooms", "owner"});
  CHECK(ordered.equal(expected));
}
