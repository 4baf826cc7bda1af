// Conditions on the values of a table's columns, and tables as runs keep them.
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "marginalia_test.h"
#include "shared/tables/values.h"

using namespace marginalia;
using namespace marginalia::tables;

namespace {

/// Rows of a label, a number with a frequent value, a date and a whole number.
Table table_of_plants() {
  std::string text = "leaf,height,seen,petals\n";
  for (int n = 0; n < 200; ++n)
    text += fmt::format("{},{},2021-{:02}-{:02},{}\n", n % 3 ? "round" : "\"long, thin\"",
                        n % 4 == 0 ? 2.5 : double(n * n % 97) / 10, 1 + n % 12, 1 + n * 5 % 28,
                        n % 7 == 3 ? std::string("?") : std::to_string(3 + n % 5));
  const auto scanned = scan(marginalia::TextFile("plants.csv", text), {});
  auto schema = find_schema(scanned, {{"petals", {.missing = "category"}}});
  std::vector<std::int64_t> rows(200);
  for (std::size_t n = 0; n < rows.size(); ++n)
    rows[n] = std::int64_t(n);
  Variables variables(schema, scanned, rows, 6);
  return {std::move(schema), std::move(variables)};
}

ValueSet left_of(const Table& table, std::int64_t variable, const std::string& conditions) {
  return values_of(table, parse_conditions(conditions))[std::size_t(variable)];
}

/// Shares of levels by adding up the values of the grid one by one.
std::vector<double> add_up(const Encoding& encoding, const ValueSet& left) {
  std::vector<double> shares;
  for (const auto& piece : encoding.pieces()) {
    double sum = 0;
    const auto middle = (encoding.low() + encoding.high()) / 2;
    for (std::int64_t index = middle - 20000; index < middle + 20000; ++index)
      if (piece.has(index) && left.has(std::int64_t(shares.size()), encoding.value_of(index)))
        sum += std::exp(piece.log_probability(index));
    shares.push_back(sum);
  }
  return shares;
}

}  // namespace

TEST_CASE("conditions are read with their relations, lists and quotes") {
  const auto all = parse_conditions(
      "age>=30,height < 2.5 , \"a \"\"b\"\", c\" = \">50K\",x in (1,\"2, 3\"), y not in (z),"
      "deck is missing, cabin is not missing,k==3, m!=4");
  using enum Relation;
  REQUIRE(all.size() == 9);
  CHECK(all[0].column == "age");
  CHECK(all[0].relation == kMoreOrEqual);
  CHECK(all[1].values == std::vector<std::string>{"2.5"});
  CHECK(all[2].column == "a \"b\", c");
  CHECK(all[2].values == std::vector<std::string>{">50K"});
  CHECK(all[3].values == std::vector<std::string>{"1", "2, 3"});
  CHECK(all[4].relation == kNotIn);
  CHECK(all[5].relation == kMissing);
  CHECK(all[6].relation == kNotMissing);
  CHECK(all[7].values == std::vector<std::string>{"3"});
  CHECK(all[8].relation == kNotIn);
  CHECK(all[1].place == 8);
  for (const auto* wrong : {"", "age", "age>", "age in 3", "age in (3", "a=\"b", "a=1 b=2",
                            "a is b", "=3", "a=1,", "a in ()"})
    CHECK_MESSAGE(test::refusal([&] { parse_conditions(wrong); }) != "accepted", wrong);
}

TEST_CASE("what ranges leave of bins is the sum of the values in them") {
  const auto table = table_of_plants();
  const auto& height = table.variables[1];
  REQUIRE(height.column().kind == Kind::kNumber);
  for (const auto* conditions :
       {"height>=2.5", "height>2.5", "height<3.14", "height<=7", "height>=1, height<1.3",
        "height!=2.5", "height in (2.5, 4.9, 0.1)", "height not in (2.5, 4.9), height>1",
        "height>20", "height<-3"}) {
    CAPTURE(conditions);
    const auto left = left_of(table, 1, conditions);
    const auto shares = left.shares(), sums = add_up(height, left);
    REQUIRE(shares.size() == sums.size());
    for (std::size_t k = 0; k < shares.size(); ++k)
      CHECK(shares[k] == doctest::Approx(sums[k]).epsilon(1e-9));
  }
  // A value that is drawn is one of those that are left, of the level asked for.
  const auto left = left_of(table, 1, "height>=1, height<9.1, height!=2.5");
  const auto shares = left.shares();
  for (std::int64_t k = 0; k < height.levels(); ++k)
    for (double u = 0; u < 1; u += 0.0625) {
      if (shares[std::size_t(k)] == 0) continue;
      const auto value = std::stod(left.text(k, u));
      CHECK(left.has(k, value));
      CHECK(height.level_of(value) == k);
    }
}

TEST_CASE("labels, whole numbers, dates and gaps that are values have their conditions") {
  const auto table = table_of_plants();
  using Shares = std::vector<double>;
  const auto leaf = table.variables[0].column().labels;
  CHECK(left_of(table, 0, "leaf=round").shares() ==
        (leaf[0] == "round" ? Shares{1, 0} : Shares{0, 1}));
  CHECK(left_of(table, 0, "leaf!=\"long, thin\"").shares() ==
        left_of(table, 0, "leaf in (round)").shares());
  // Petals 3 to 7, and a gap.
  CHECK(left_of(table, 3, "petals>=5, petals<7").shares() == Shares{0, 0, 1, 1, 0, 0});
  CHECK(left_of(table, 3, "petals is missing").shares() == Shares{0, 0, 0, 0, 0, 1});
  CHECK(left_of(table, 3, "petals is not missing").shares() == Shares{1, 1, 1, 1, 1, 0});
  CHECK(left_of(table, 3, "petals!=3").shares() == Shares{0, 1, 1, 1, 1, 0});
  const auto seen = left_of(table, 2, "seen>=2021-03-01, seen<2021-04-01");
  const auto sums = add_up(table.variables[2], seen);
  for (std::size_t k = 0; k < sums.size(); ++k)
    CHECK(seen.shares()[k] == doctest::Approx(sums[k]).epsilon(1e-9));
  CHECK(left_of(table, 2, "leaf=round").all());
}

TEST_CASE("a table is kept as JSON and read back as it was") {
  const auto table = table_of_plants();
  const auto json = to_json(table);
  const auto again = table_from_json(Json::parse(json.dump()), "kept.json");
  CHECK(to_json(again).dump() == json.dump());
  for (std::int64_t i = 0; i < table.variables.count(); ++i) {
    const auto &a = table.variables[i], &b = again.variables[i];
    REQUIRE(a.levels() == b.levels());
    for (std::int64_t k = 0; k < a.levels(); ++k)
      CHECK(a.text(k, 0.3) == b.text(k, 0.3));
  }
  auto other = json;
  other["marginalia_columns"] = 99;
  CHECK(test::refusal([&] { table_from_json(other, "kept.json"); }) ==
        "kept.json: is no description of a table of format 1");
  other = json;
  other["bins"].erase("height");
  CHECK(test::refusal([&] { table_from_json(other, "kept.json"); }).starts_with("kept.json: "));
}

TEST_CASE("quantiles of a column follow the probabilities of its levels") {
  const auto table = table_of_plants();
  const auto& height = table.variables[1];
  std::vector<double> p;
  double rows = 0;
  for (const auto& piece : height.pieces())
    rows += double(piece.rows);
  for (const auto& piece : height.pieces())
    p.push_back(double(piece.rows) / rows);
  double before = -1;
  for (double q = 0.05; q < 1; q += 0.05) {
    const auto value = std::stod(height.quantile(p.data(), q));
    CHECK(value >= before);
    before = value;
    // By the law of the levels: p(x < value) <= q <= p(x <= value).
    const auto share = [&](std::int64_t until) {
      double sum = 0;
      for (std::size_t k = 0; k < p.size(); ++k)
        sum += p[k] * height.pieces()[k].share(-Encoding::kFarthest, until);
      return sum;
    };
    const auto index = height.index_of(value);
    if (index > height.low()) CHECK(share(index - 1) <= q + 1e-9);
    if (index < height.high()) CHECK(share(index) >= q - 1e-9);
  }
}
