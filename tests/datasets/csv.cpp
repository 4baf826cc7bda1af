// What a CSV file is taken for, and how its values are levels.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "csv_data.h"
#include "datasets/csv/splits.h"
#include "shared/tables/rows.h"

using namespace marginalia;
using namespace marginalia::csv;
using namespace marginalia::tables;
using test::CsvData;

namespace {

using Kinds = std::vector<std::string_view>;

Schema schema_of(const std::string& text, const Form& form = {},
                 const std::vector<std::pair<std::string, Stated>>& stated = {}) {
  return find_schema(scan(TextFile("t.csv", text), form), stated);
}
Kinds kinds_of(const Schema& schema) {
  Kinds kinds;
  for (const auto& column : schema.columns)
    kinds.push_back(to_string(column.kind));
  return kinds;
}
/// A column of these fields below a name, each with a number of its row beside it that repeats
/// nothing.
Column column_of(const std::vector<std::string>& fields, const Form& form = {}) {
  std::string text = "name;n\n";
  for (std::size_t n = 0; n < fields.size(); ++n)
    text += fmt::format("{};{}\n", fields[n], n * n % 7);
  return schema_of(text, form).columns[0];
}

}  // namespace

TEST_CASE("csv: each kind of column is found") {
  const auto schema = schema_of("id,sex,age,income,alive,born,note,same,code,gone,one\n"
                                "1,male,22,7.25,no,1990-01-31,a b,m,02208,,x\n"
                                "2,female,,71.28,yes,1991-02-28,c d,f,00000,,x\n"
                                "3,female,26,7.925,yes,1992-12-01,e f,f,02208,,x\n"
                                "4,female,35,53.1,yes,1990-03-31,g h,f,00000,,x\n"
                                "5,male,35,8.05,no,1990-01-30,i j,m,03111,,x\n"
                                "6,male,?,8.46,no,1990-01-29,k l,m,02208,,x\n"
                                "7,male,54,51.86,no,1990-01-28,m n,m,00000,,x\n"
                                "8,male,2,21.08,no,1990-01-27,o p,m,02208,,x\n"
                                "9,female,27,11.13,yes,1990-01-26,q r,f,00000,,x\n"
                                "10,female,14,30.07,yes,1990-01-25,s t,f,03111,,x\n");
  CHECK(schema.header);
  CHECK(schema.rows == 10);
  CHECK(kinds_of(schema) == Kinds{"ignored", "category", "integer", "number", "ignored", "date",
                                  "ignored", "ignored", "category", "ignored", "ignored"});
  const auto& columns = schema.columns;
  CHECK(columns[0].why == "counts the rows");
  CHECK(columns[2].missing == 2);
  CHECK(columns[2].labels == std::vector<std::string>{"2", "14", "22", "26", "27", "35", "54"});
  CHECK(columns[3].decimals == 3);
  CHECK(columns[3].low == 7.25);
  CHECK(columns[4].why == "repeats sex");
  CHECK(columns[5].date.text() == "Y-M-D");
  CHECK(columns[6].why == "free text: 10 values in 10 rows");
  CHECK(columns[7].why == "repeats sex");
  CHECK(columns[8].labels[0] == "02208");
  CHECK(columns[9].why == "all of it is missing");
  CHECK(columns[10].why == "constant");
}

TEST_CASE("csv: a header is told from a row, and names may be given") {
  CHECK(schema_of("a,b\n1,2\n3,4\n5,6\n").header);
  CHECK_FALSE(schema_of("1,2\n3,4\n5,6\n").header);
  CHECK_FALSE(schema_of("'x','no'\n'y','yes'\n'x','no'\n").header);  // x stands below itself
  CHECK(schema_of(",b\n0,x\n1,y\n2,x\n").columns[0].name == "column_1");
  const auto named = schema_of("1,2\n3,4\n", {.names = {"left", "right"}});
  CHECK(named.columns[1].name == "right");
  CHECK(named.rows == 2);
  const auto renamed = schema_of("a,b\n3,4\n", {.header = "yes", .names = {"left", "right"}});
  CHECK(renamed.columns[0].name == "left");
  CHECK(renamed.rows == 1);
}

TEST_CASE("csv: fields are read as files of the field have them") {
  CHECK(column_of({"2,5", "1,25", "3"}).low == 1.25);  // a decimal comma, between semicolons
  CHECK(column_of({"2,5", "1,25", "3"}).comma);
  CHECK((column_of({"2,5", "1.25", "a", "a", "2,5", "1.25"}).kind == Kind::kCategory));
  CHECK(column_of({"'a'", "b", "'a'", "b"}).labels == std::vector<std::string>{"a", "b"});
  CHECK(column_of({"x.", "y", "x", "y."}, {.strip = "."}).labels ==
        std::vector<std::string>{"x", "y"});
  CHECK(column_of({"38.50", "38.5", "40"}).decimals == 1);
  CHECK(column_of({"22.0", "22", "23.0"}).labels == std::vector<std::string>{"22", "23"});
  CHECK(column_of({"-", "1", "2", "2"}, {.missing = {"-"}}).missing == 1);
  CHECK((column_of({"True", "False", "True"}).kind == Kind::kBoolean));
  CHECK(column_of({"True", "False", "True"}).labels == std::vector<std::string>{"False", "True"});
}

TEST_CASE("csv: dates of each form are read, written as they were, and refused where none") {
  for (const std::string text : {"2020-02-29", "2020/02/29", "29.02.2020", "29.02.2020 23:59",
                                 "2020-02-29T23:59:58", "1969-07-20", "0001-01-01"}) {
    CAPTURE(text);
    const auto forms = date_forms(text);
    REQUIRE(forms.size() == 1);
    CHECK(write_date(*parse_date(text, forms[0]), forms[0]) == text);
    CHECK((*DateForm::of(forms[0].text()) == forms[0]));
  }
  CHECK(*parse_date("1970-01-02", *DateForm::of("Y-M-D")) == 86400);
  CHECK(date_forms("03/04/2020").size() == 2);  // of March, or of April
  CHECK(date_forms("13/04/2020").size() == 1);
  for (const std::string text : {"2021-02-29", "2020-13-01", "20-01-01", "2020-01-01 24:00", "x"}) {
    CAPTURE(text);
    CHECK(date_forms(text).empty());
  }
}

TEST_CASE("csv: what is wrong with a file is said with its place") {
  const auto refused = [](const std::string& text, const Form& form = {},
                          const std::vector<std::pair<std::string, Stated>>& stated = {}) {
    return test::refusal([&] { schema_of(text, form, stated); });
  };
  CHECK(refused("a,b\n1,2\n3\n") ==
        "t.csv:3: 1 values, but 2 columns: the header has as many names");
  CHECK(refused("a,b\n").find("has a header and no rows") != std::string::npos);
  CHECK(refused("").find("has no rows") != std::string::npos);
  CHECK(refused("a,a\n1,2\n", {.header = "yes"}).find("two columns are named \"a\": 1 and 2") !=
        std::string::npos);
  CHECK(refused("1,2\n", {.names = {"a"}}).find("2 columns, but \"names\" has 1") !=
        std::string::npos);
  CHECK(refused("a,b\n1,2\n", {}, {{"c", {}}}).find("has no column \"c\"; there is: a, b") !=
        std::string::npos);
  CHECK(refused("a,b\n1,2\n", {}, {{"a", {.kind = "categry"}}}).find("there is: category") !=
        std::string::npos);
  CHECK(refused("a,b\nx,2\ny,3\n", {}, {{"a", {.kind = "number"}}})
            .find("column \"a\" has texts that are no numbers") != std::string::npos);
  CHECK(
      refused("a,b\nx,2\nx,3\n", {}, {{"a", {.kind = "category"}}}).find("is \"x\" in every row") !=
      std::string::npos);
  CHECK(refused("a,b\n,2\n,3\n", {}, {{"a", {.kind = "category"}}})
            .find("has no values: all of it is missing") != std::string::npos);
}

TEST_CASE("csv: rare labels are gathered, gaps may be a level") {
  const auto schema = schema_of("a\nx\nx\nx\ny\nz\n\"\"\nx\n", {.header = "yes"},
                                {{"a", {.kind = "category", .missing = "category", .rare = 2}}});
  const auto& column = schema.columns[0];
  CHECK(column.labels == std::vector<std::string>{"x", kOther});
  CHECK(column.counts == std::vector<std::int64_t>{4, 2});
  const Encoding encoding(column, {}, 8);
  CHECK(encoding.levels() == 3);
  CHECK(encoding.level_of_gap() == 2);
  CHECK(encoding.level_of("x") == 0);
}

TEST_CASE("csv: values come back as the file writes them, within the range that was seen") {
  const auto column = column_of({"0.5", "1.25", "2", "7.75", "3.5", "1.5", "0.5", "9"});
  std::vector<double> numbers{0.5, 1.25, 2, 7.75, 3.5, 1.5, 0.5, 9};
  const Encoding encoding(column, numbers, 4);
  for (const double value : numbers) {
    const auto level = encoding.level_of(value);
    CHECK(encoding.pieces()[std::size_t(level)].has(encoding.index_of(value)));
    for (const double u : {0.0, 0.5, 0.99}) {
      const auto back = *parse(encoding.text(level, u));
      CHECK(back.decimals <= 2);
      CHECK(back.value >= 0.5);
      CHECK(back.value <= 9);
      CHECK(encoding.level_of(back.value) == level);
    }
  }
  CHECK(std::isfinite(encoding.log_recorded(-1000)));
  CHECK(std::isfinite(encoding.log_recorded(1e6)));
}

TEST_CASE("csv: a schema comes back from its JSON, and what is edited wrongly is named") {
  const auto schema = schema_of("a,b,c\nx,1.5,2020-01-01\ny,2,2021-01-01\nx,,2020-01-01\n"
                                "x,2.5,2020-01-02\ny,1,2020-01-03\n",
                                {.strip = "."}, {{"b", {.missing = "category"}}});
  const auto json = to_json(schema);
  CHECK(to_json(schema_from_json(json, "s.json")) == json);
  const auto refused = [&](const auto& edit) {
    auto edited = json;
    edit(edited);
    return test::refusal([&] { schema_from_json(edited, "s.json"); });
  };
  CHECK(refused([](Json& j) {
          j["columns"][0]["kind"] = "catgory";
        }).find("s.json: column \"a\": no column is of the kind \"catgory\"") != std::string::npos);
  CHECK(refused([](Json& j) {
          j["columns"][0]["labels"] = {"x", "x"};
        }).find("label \"x\" stands twice") != std::string::npos);
  CHECK(refused([](Json& j) { j["columns"][0]["labels"] = {"x"}; }).find("needs two \"labels\"") !=
        std::string::npos);
  CHECK(refused([](Json& j) { j["columns"][1]["low"] = 3; }).find("\"low\" must be below") !=
        std::string::npos);
  CHECK(refused([](Json& j) {
          j["columns"][1]["low"] = "much";
        }).find("\"low\" must be a number, not \"much\"") != std::string::npos);
  CHECK(refused([](Json& j) { j["columns"][1]["bin"] = 3; }).find("\"bin\" is no key; it takes") !=
        std::string::npos);
  CHECK(refused([](Json& j) { j["columns"][2]["form"] = "Y.M.D"; }).find("is no form of a date") !=
        std::string::npos);
  CHECK(refused([](Json& j) {
          j["columns"][2]["name"] = "a";
        }).find("two columns are named \"a\"") != std::string::npos);
  CHECK(refused([](Json& j) { j.erase("marginalia_table"); }).find("version of the format") !=
        std::string::npos);
}

namespace {

/// 100 rows: their number, one of ten groups, a label that says the split, a date.
Scan hundred() {
  std::string text = "n,group,part,day\n";
  for (int n = 0; n < 100; ++n)
    text += fmt::format("{},g{},{},2020-{:02}-{:02}\n", n * 7 % 100, n % 10,
                        n < 20   ? "test"
                        : n < 30 ? "valid"
                                 : "train",
                        1 + n / 28, 1 + n % 28);
  return scan(TextFile("t.csv", text), {});
}
std::array<std::size_t, 3> sizes(const SplitRows& rows) {
  return {rows[0].size(), rows[1].size(), rows[2].size()};
}

}  // namespace

TEST_CASE("csv: rows are split by share, fold, group, column and time") {
  using Sizes = std::array<std::size_t, 3>;
  const auto scanned = hundred();
  const auto by_shares = split_rows(ByShares{}, scanned, true);
  CHECK(sizes(by_shares) == Sizes{80, 10, 10});
  CHECK(split_rows(ByShares{}, scanned, true) == by_shares);
  CHECK(split_rows(ByShares{.seed = 1}, scanned, true) != by_shares);
  CHECK(sizes(split_rows(ByShares{}, scanned, false)) == Sizes{90, 10, 0});
  std::vector<std::int64_t> all;
  for (const auto& rows : by_shares)
    all.insert(all.end(), rows.begin(), rows.end());
  std::ranges::sort(all);
  for (std::int64_t n = 0; n < 100; ++n)
    CHECK(all[std::size_t(n)] == n);

  const auto by_group =
      split_rows(ByShares{.valid = 0.25, .test = 0.25, .group = "group"}, scanned, true);
  for (int group = 0; group < 10; ++group) {
    int parts = 0;
    for (const auto& rows : by_group)
      parts += std::ranges::any_of(rows, [&](auto row) { return row % 10 == group; });
    CHECK(parts == 1);
  }
  std::set<std::int64_t> tested;
  for (std::int64_t fold = 0; fold < 5; ++fold) {
    const auto rows = split_rows(ByFolds{.folds = 5, .fold = fold}, scanned, true);
    for (const auto row : rows[2])
      CHECK(tested.insert(row).second);
  }
  CHECK(tested.size() == 100);
  CHECK(sizes(split_rows(ByColumn{.column = "part"}, scanned, true)) == Sizes{70, 10, 20});
  const auto by_time = split_rows(ByTime{.column = "day"}, scanned, true);
  CHECK(by_time[2].front() == 90);
  CHECK(by_time[0].back() == 79);
  CHECK(test::refusal([&] {
          split_rows(ByColumn{.column = "prt"}, scanned, true);
        }).find("has no column \"prt\"") != std::string::npos);
  CHECK(test::refusal([&] {
          split_rows(ByColumn{.column = "part", .test = "no"}, scanned, true);
        }).find("no row of column \"part\" is \"no\"") != std::string::npos);
  CHECK(test::refusal([&] {
          split_rows(ByTime{.column = "group"}, scanned, true);
        }).find("neither numbers nor dates") != std::string::npos);
}

TEST_CASE("csv: a dataset's rows are levels, its numbers have a density, its gaps are unknown") {
  std::string text = "sex,age,deck\n";
  for (int n = 0; n < 60; ++n)
    text += fmt::format("{},{},{}\n", n % 3 ? "male" : "female",
                        n % 7 == 0 ? std::string("?") : fmt::format("{}.5", 20 + n * n % 37),
                        n % 5 == 0 ? ""
                        : n % 2    ? "A"
                                   : "B");
  const CsvData table(text, R"(, "bins": 4)");
  CHECK(table.data->space().names == std::vector<std::string>{"sex", "age", "deck"});
  CHECK(table.data->has_gaps());
  const auto rows = table.rows(Split::kTrain);
  CHECK(rows.size(0) == 48);
  CHECK((rows.select(1, 0) >= 0).all().item<bool>());
  CHECK((rows.select(1, 1) == kUnknown).any().item<bool>());
  CHECK((rows.select(1, 2) == kUnknown).any().item<bool>());
  // A number says more than its bin, a gap and a label no more than themselves.
  const auto recorded = table.data->log_recorded(Split::kTrain, torch::arange(48));
  CHECK(recorded.sizes() == rows.sizes());
  const auto gap = rows.select(1, 1) == kUnknown;
  CHECK((recorded.select(1, 1).masked_select(gap) == 0).all().item<bool>());
  CHECK((recorded.select(1, 1).masked_select(gap.logical_not()) <= 0).all().item<bool>());
  CHECK((recorded.select(1, 0) == 0).logical_and(recorded.select(1, 2) == 0).all().item<bool>());
  const auto line = table.data->to_text(rows[0]);
  CHECK(std::ranges::count(line, ',') == 2);

  const CsvData valued(text, R"(, "gaps_as_values": ["age", "deck"])");
  CHECK_FALSE(valued.data->has_gaps());
  CHECK(valued.data->space().cardinalities[2] == 3);
  const CsvData ignored(text, R"(, "ignored": ["deck"], "categories": ["age"])");
  CHECK(ignored.data->space().names == std::vector<std::string>{"sex", "age"});
  CHECK_FALSE(ignored.data->log_recorded(Split::kTrain, torch::arange(2)).defined());
}

TEST_CASE("csv: what is wrong with a dataset's files and settings is said") {
  const std::string text = "a,b\nx,1\ny,2\nx,3\ny,1\nx,2\ny,3\nx,1\ny,2\nx,3\ny,5\n";
  const auto refused = [&](const std::string& more) {
    return test::refusal([&] { const CsvData table(text, more); });
  };
  CHECK(refused("") == "accepted");
  CHECK(refused(R"(, "ignored": ["c"])").find("has no column \"c\"; there is: a, b") !=
        std::string::npos);
  CHECK(refused(R"(, "ignored": ["a"], "categories": ["a"])")
            .find("column \"a\" is stated to be category and ignored") != std::string::npos);
  CHECK(refused(R"(, "ignored": ["a", "b"])").find("no column is a variable") != std::string::npos);
  CHECK(refused(R"(, "separator": ";;")").find("\"separator\" must be one character") !=
        std::string::npos);
  CHECK(refused(R"(, "split": {"type": "shares", "valid": 0.5, "test": 0.5})")
            .find("leaves no rows of 10 to learn from") != std::string::npos);
  test::TempDir folder;
  std::ofstream(folder / "test.csv") << "a,b\nz,1\n";
  CHECK(refused(fmt::format(R"(, "test": "{}")", (folder / "test.csv").string()))
            .find("column \"a\" has \"z\" in row 1, which is none of its labels: ") !=
        std::string::npos);
}
