/// `marginalia table` on a run of a small table, against what counting says.
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include <marginalia/text_file.h>
#include <marginalia/tool.h>

#include "host/execution/answer.h"
#include "program.h"
#include "said.h"

using namespace marginalia;
using test::has, test::run_marginalia;
namespace fs = std::filesystem;

namespace {

using Row = std::map<std::string, std::string>;

/// The rows of a CSV text, by the names in its first line.
std::vector<Row> rows_of(const std::string& text) {
  std::vector<Row> rows;
  std::vector<std::string> names;
  for (RecordReader records(marginalia::TextFile("out", text), {}, ','); records.next();) {
    const auto& fields = records.fields();
    if (names.empty()) {
      names.assign(fields.begin(), fields.end());
      continue;
    }
    auto& row = rows.emplace_back();
    for (std::size_t i = 0; i < fields.size(); ++i)
      row[names[i]] = fields[i];
  }
  return rows;
}
double number(const Row& row, const std::string& name) {
  return std::stod(row.at(name));
}

/// 120 people: 90 train, 15 validate, 15 test, by the column "part", which is ignored. Of "age" two
/// values are frequent; "job" has a label with a comma; "sex" and "age" have gaps.
std::string people() {
  std::string text = "part,sex,age,job,note\n";
  for (int n = 0; n < 120; ++n)
    text += fmt::format("{},{},{},{},row {}\n",
                        n < 90    ? "train"
                        : n < 105 ? "valid"
                                  : "test",
                        n % 11 == 10 ? ""
                        : n % 3      ? "male"
                                     : "female",
                        n % 13 == 5  ? "?"
                        : n % 4 == 0 ? "40"
                                     : std::to_string(20 + (n * 7) % 45),
                        n % 5 == 0 ? "\"clerk, senior\""
                        : n % 2    ? "smith"
                                   : "clerk",
                        n);
  return text;
}

const Tool& tool() {
  static const auto made = test::loaded_registry().make<Tool>(
      Spec::from_text(R"({"type": "table"})"),
      ToolContext{.open =
                      [](const fs::path& run) {
                        return lend(open_run(run, "", {test::loaded_registry()}));
                      },
                  .say = [](const std::string& text) { fmt::print(stderr, "{}\n", text); }});
  return *made;
}

/// Runs of three families on them, which all cases share.
class Runs {
 public:
  Runs() {
    write_atomically(folder_ / "people.csv", people());
    for (const auto* family : {"independent", "chow_liu", "any_order_arm"}) {
      const auto spec = folder_ / (std::string(family) + ".json");
      write_atomically(
          spec, fmt::format(R"({{"marginalia": 2, "seed": 1,
            "dataset": {{"type": "csv", "file": "people.csv", "bins": 6, "ignored": ["part", "note"],
                         "split": {{"type": "column", "column": "part"}}}},
            "family": {{"type": "{}"}} {}, "training": {{"steps": 3, "batch_size": 16}},
            "evaluation": {{"rows": "all", "split": "test", "metrics": ["nll"]}}}})",
                            family,
                            family == std::string("any_order_arm")
                                ? R"(, "network": {"type": "mlp", "hidden": 16, "layers": 1})"
                                : ""));
      const auto result =
          run_marginalia(fmt::format("run '{}' --out '{}'", spec.string(), path(family)));
      REQUIRE_MESSAGE(result.code == 0, result.err);
    }
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// `marginalia table ACTION RUN REST`, in this process: starting the program costs a second. REST
  /// is cut at blanks outside of single quotes, and its "-" is a file of `input`.
  test::Result table(const std::string& action, const std::string& family, const std::string& rest,
                     const std::string& input = "") const {
    write_atomically(folder_ / "in.csv", input);
    std::vector<std::string> words{action, path(family)};
    bool quoted = false, open = false;
    for (const char c : rest) {
      if (c == '\'') {
        quoted = !quoted;
      } else if (c == ' ' && !quoted) {
        open = false;
        continue;
      }
      if (!open) words.emplace_back();
      open = true;
      if (c != '\'') words.back() += c;
    }
    for (auto& word : words)
      word = word == "-" ? path("in.csv") : word == "@-" ? "@" + path("in.csv") : word;
    test::Result result{0, "", ""};
    std::istringstream in;
    std::ostringstream out;
    result.err = test::said([&] {
      try {
        result.code = tool().run(words, in, out);
      } catch (const SpecError& e) {
        fmt::print(stderr, "{}", e.what());
        result.code = 2;
      }
    });
    result.out = out.str();
    return result;
  }
  std::vector<Row> rows(const std::string& action, const std::string& family,
                        const std::string& rest, const std::string& input = "") const {
    const auto result = table(action, family, rest, input);
    CHECK_MESSAGE(result.code == 0, result.err);
    return rows_of(result.out);
  }
  double probability(const std::string& family, const std::string& rest) const {
    return number(rows("probability", family, rest).at(0), "probability");
  }

 private:
  test::TempDir folder_;
};

const Runs& runs() {
  static const Runs all;
  return all;
}

}  // namespace

TEST_CASE("table probability is what counting says, and parts add up") {
  // independent: p(x = k) = (n_k + a / K) / (N + a), a the largest K, of rows that know x
  int male = 0, known = 0;
  for (int n = 0; n < 90; ++n)
    if (n % 11 != 10) {
      ++known;
      male += n % 3 != 0;
    }
  const auto description =
      Json::parse(read_text(fs::path(runs().path("independent")) / "dataset.json"));
  const auto ages = description.at("bins").at("age").at("pieces").size();
  const auto a = double(std::max<std::size_t>(ages, 3));
  CHECK(runs().probability("independent", "--target sex=male") ==
        doctest::Approx((male + a / 2) / (known + a)).epsilon(1e-7));

  for (const auto* family : {"independent", "chow_liu"}) {
    CAPTURE(family);
    const auto p = [&](const std::string& rest) { return runs().probability(family, rest); };
    CHECK(p("--target 'age<33'") + p("--target 'age>=33'") == doctest::Approx(1).epsilon(1e-7));
    CHECK(p("--target 'age=40'") + p("--target 'age!=40'") == doctest::Approx(1).epsilon(1e-7));
    CHECK(p("--target 'job in (smith, \"clerk, senior\")'") + p("--target job=clerk") ==
          doctest::Approx(1).epsilon(1e-7));
    CHECK(p("--target 'age>=30, age<32'") ==
          doctest::Approx(p("--target age=30") + p("--target age=31")).epsilon(1e-7));
    // p(A | B) p(B) = p(A, B)
    CHECK(p("--target sex=male --given 'age>40, job=smith'") * p("--target 'age>40, job=smith'") ==
          doctest::Approx(p("--target 'sex=male, age>40, job=smith'")).epsilon(1e-7));
  }
  const auto several = runs().rows("probability", "chow_liu", "--target @- --given job=smith",
                                   "age<33\n\nage>=33\n");
  REQUIRE(several.size() == 2);
  CHECK(number(several[0], "probability") + number(several[1], "probability") ==
        doctest::Approx(1).epsilon(1e-7));
  CHECK(number(several[0], "probability") ==
        doctest::Approx(runs().probability("chow_liu", "--target 'age<33' --given job=smith")));
  const auto of_rows = runs().rows("probability", "chow_liu", "--target sex=male --given @-",
                                   "age,job\n40,smith\n?,clerk\n");
  REQUIRE(of_rows.size() == 2);
  CHECK(number(of_rows[1], "probability") ==
        doctest::Approx(runs().probability("chow_liu", "--target sex=male --given job=clerk"))
            .epsilon(1e-7));
  CHECK(of_rows[0].at("status") == "exact");
}

TEST_CASE("table probability of an estimate has an interval, by the spread of orders") {
  const std::string target = "--target 'age<33, sex=male, job=clerk'";
  const auto exact = runs().rows("probability", "chow_liu", target).at(0);
  CHECK(exact.at("lower") == exact.at("probability"));
  CHECK(exact.at("upper") == exact.at("probability"));
  const auto few = runs().rows("probability", "any_order_arm", target + " --orders 16").at(0);
  CHECK(few.at("status") == "estimate");
  CHECK(few.at("estimator") == "paths");
  CHECK(number(few, "lower") < number(few, "probability"));
  CHECK(number(few, "upper") > number(few, "probability"));
  const auto many = runs().rows("probability", "any_order_arm", target + " --orders 4096").at(0);
  CHECK(number(many, "upper") - number(many, "lower") <
        0.3 * (number(few, "upper") - number(few, "lower")));
  CHECK(number(few, "lower") <= number(many, "upper"));
  CHECK(number(few, "upper") >= number(many, "lower"));
  // A condition that says no more than what is given, along the same orders.
  const auto sure =
      runs().rows("probability", "any_order_arm", "--target sex=male --given sex=male").at(0);
  CHECK(number(sure, "probability") == doctest::Approx(1).epsilon(1e-6));
  const auto of_rows = runs().rows("probability", "any_order_arm", "--target sex=male --given @-",
                                   "age,job\n40,smith\n?,clerk\n");
  REQUIRE(of_rows.size() == 2);
  for (const auto& row : of_rows) {
    CHECK(number(row, "probability") > 0.05);
    CHECK(number(row, "upper") < 1.01);
  }
  CHECK(has(runs().table("probability", "any_order_arm", target + " --orders 1").err, "--orders"));
}

TEST_CASE("table sample gives rows of which the conditions hold, and only those") {
  const auto rows = runs().rows(
      "sample", "chow_liu", "--given 'age>=30, age<39, job in (smith, \"clerk, senior\")' -n 400");
  REQUIRE(rows.size() == 400);
  std::map<std::string, int> sexes;
  std::set<std::string> ages;
  for (const auto& row : rows) {
    const auto age = number(row, "age");
    CHECK(age >= 30);
    CHECK(age < 39);
    CHECK(age == std::floor(age));
    CHECK((row.at("job") == "smith" || row.at("job") == "clerk, senior"));
    ++sexes[row.at("sex")];
    ages.insert(row.at("age"));
  }
  CHECK(ages.size() > 5);
  const auto p = runs().probability(
      "chow_liu", "--target sex=male --given 'age>=30, age<39, job in (smith, \"clerk, senior\")'");
  CHECK(std::abs(sexes["male"] / 400. - p) < 4 * std::sqrt(p * (1 - p) / 400));

  const auto again = runs().table("sample", "chow_liu", "--count 3 --seed 5 --json");
  CHECK(again.out == runs().table("sample", "chow_liu", "--count 3 --seed 5 --json").out);
  CHECK(Json::parse(again.out.substr(0, again.out.find('\n'))).at("age").is_number());
  CHECK(has(again.err, "3 rows by one_pass (exact), of equal weight"));
}

TEST_CASE("the program lends a tool its runs, and reads the options that all verbs take") {
  const auto run = runs().path("independent");
  const auto result = run_marginalia(
      fmt::format("table impute --threads 1 '{}' - --data={} --checkpoint last.safetensors", run,
                  "nowhere"),
      "part,sex,age,job,note\nx,male,44,,\n");
  CHECK_MESSAGE(result.code == 0, result.err);
  CHECK(has(result.out, "part,sex,age,job,note\nx,male,44,"));
  const auto wrong = run_marginalia(fmt::format("table impute '{}' - --thread 1", run), "x");
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "--thread"));
  CHECK(has(run_marginalia("table --help").out, "sample RUN"));
}

TEST_CASE("table impute fills gaps and leaves all else as it stands") {
  const std::string file =
      "part,sex,age,job,note\nx,,44,smith,\"a, b\"\ny,male,?,clerk,c\nz,female,30,smith,\n";
  const auto best = runs().rows("impute", "chow_liu", "-", file);
  REQUIRE(best.size() == 3);
  CHECK(best[0].at("note") == "a, b");
  CHECK((best[0].at("sex") == "male" || best[0].at("sex") == "female"));
  CHECK(best[0].at("age") == "44");
  CHECK(best[2].at("note").empty());  // ignored: no gap of the model's
  const auto age = number(best[1], "age");
  CHECK(age >= 20);
  CHECK(age <= 64);
  // The median: half of the probability lies below.
  const auto given = " --given 'sex=male, job=clerk'";
  CHECK(runs().probability("chow_liu", fmt::format("--target 'age<{}'{}", age, given)) <= 0.5);
  CHECK(runs().probability("chow_liu", fmt::format("--target 'age<={}'{}", age, given)) >= 0.5);

  const auto drawn = runs().rows("impute", "chow_liu", "- --draws 40 --seed 3", file);
  REQUIRE(drawn.size() == 120);
  std::set<std::string> ages;
  for (std::size_t n = 1; n < drawn.size(); n += 3) {
    CHECK(drawn[n].at("_draw") == std::to_string(n / 3 + 1));
    ages.insert(drawn[n].at("age"));
  }
  CHECK(ages.size() > 8);

  double sum = 0, male = 0;
  for (const auto& row : runs().rows("impute", "chow_liu", "- --probabilities", file)) {
    if (row.at("row") != "1") continue;
    CHECK(row.at("column") == "sex");
    sum += number(row, "probability");
    if (row.at("value") == "male") male = number(row, "probability");
  }
  CHECK(sum == doctest::Approx(1).epsilon(1e-5));
  CHECK((male > 0.5) == (best[0].at("sex") == "male"));
}

TEST_CASE("table predict gives one column's probabilities given the others") {
  const auto rows = runs().rows("predict", "chow_liu", "- --target sex",
                                "part,age,job,note\n,40,smith,\n,,clerk,\n");
  REQUIRE(rows.size() == 2);
  for (const auto& row : rows)
    CHECK(number(row, "_p(male)") + number(row, "_p(female)") == doctest::Approx(1).epsilon(1e-5));
  CHECK(number(rows[1], "_p(male)") ==
        doctest::Approx(runs().probability("chow_liu", "--target sex=male --given job=clerk"))
            .epsilon(1e-5));
  const auto ages = runs().rows("predict", "chow_liu", "- --target age",
                                "part,sex,age,job,note\n,male,23,smith,\n");
  CHECK(number(ages.at(0), "_low") <= number(ages[0], "_predicted"));
  CHECK(number(ages[0], "_predicted") <= number(ages[0], "_high"));
}

TEST_CASE("table score gives what nll is the mean of, and cells p-values that say what is rare") {
  std::string test_rows = "part,sex,age,job,note\n";
  std::istringstream all(people());
  int at = -1;
  for (std::string line; std::getline(all, line); ++at)
    if (at >= 105) test_rows += line + "\n";
  double sum = 0;
  const auto rows = runs().rows("score", "chow_liu", "-", test_rows);
  REQUIRE(rows.size() == 15);
  for (const auto& row : rows)
    sum += number(row, "_log_p");
  const auto evaluation =
      Json::parse(read_text(fs::path(runs().path("chow_liu")) / "evaluation.json"));
  const auto nll = evaluation.at("metrics").at("nll").at("one_pass").at("value").get<double>();
  CHECK(-sum / 15 == doctest::Approx(nll).epsilon(1e-5));

  const auto cells = runs().rows("score", "chow_liu", "- --cells --false-discoveries 0.5",
                                 "part,sex,age,job,note\n,male,500,smith,\n,female,40,,\n");
  REQUIRE(cells.size() == 5);  // what is known of three variables and two
  for (const auto& cell : cells) {
    CHECK(number(cell, "p_value") > 0);
    CHECK(number(cell, "p_value") <= 1);
  }
  CHECK(cells[1].at("column") == "age");
  CHECK(number(cells[1], "p_value") < 0.1);  // none of the validation rows is as rare
  CHECK(number(cells[1], "surprise") > number(cells[4], "surprise"));
}

TEST_CASE(
    "table says what is wrong with conditions, columns, labels and files, and writes nothing") {
  const auto why = [](const std::string& action, const std::string& rest,
                      const std::string& in = "") {
    const auto result = runs().table(action, "chow_liu", rest, in);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    return result.err;
  };
  const auto target = [&](const std::string& conditions) {
    return why("probability", fmt::format("--target '{}'", conditions));
  };
  CHECK(has(target("agee>3"), "\"agee\"; did you mean \"age\"?"));
  CHECK(has(target("job=smit"), "did you mean \"smith\"?"));
  CHECK(has(target("note=3"), "column \"note\" is no variable of the model"));
  CHECK(has(target("age>=50, age<40"), "conditions leave no value of column \"age\""));
  CHECK(has(target("sex=male, sex=female"), "conditions leave no value of column \"sex\""));
  CHECK(has(target("age>"), "character 5: a value must stand here"));
  CHECK(has(target("age 3"), "character 5: =, !=, <, <=, >, >="));
  CHECK(has(target("sex>male"), "column \"sex\": its labels have no order"));
  CHECK(has(target("age=4.5"), "no value is 4.5: they are whole multiples of 1"));
  CHECK(has(target("age is missing"), "its gaps are unknown values"));
  CHECK(has(target("job in (smith"), "the parenthesis that opened is not closed"));
  CHECK(has(why("impute", "-", "part,sex,age,job,note\n,nobody,3,smith,\n"),
            "in.csv: column \"sex\" has \"nobody\" in row 1, which is none of its labels: "));
  const auto missing = runs().rows("impute", "chow_liu", "- --unseen missing",
                                   "part,sex,age,job,note\n,nobody,3,smith,\n");
  CHECK(missing.at(0).at("sex") != "nobody");
  CHECK(
      has(why("impute", "-", "part,sex,age,jobb,note\n,male,3,smith,\n"), "has no column \"job\""));
  CHECK(has(why("impute", "-", "part,sex,age,job,note\n,male,3,smith\n"), "in.csv:2: 4 values"));
  CHECK(has(why("impute", "nowhere.csv"), "nowhere.csv"));
  CHECK(has(why("probability", "--target @-", "age<3\nage<\n"), "in.csv:2: conditions"));
  CHECK(has(why("sample", ""), "--count is required"));
  CHECK(has(why("sample", "-n 0"), "--count"));
  CHECK(has(why("score", "- --false-discoveries 0.1", "x\n"), "is of --cells"));
  const test::TempDir folder;
  CHECK(has(
      why("sample", fmt::format("-n 3 --given agee=1 --out '{}'", (folder / "out.csv").string())),
      "agee"));
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("data describe shows what each column is taken for, and --json what a spec takes") {
  const auto file = runs().path("people.csv");
  const auto shown = run_marginalia(fmt::format("data describe '{}' bins=6", file));
  CHECK_MESSAGE(shown.code == 0, shown.err);
  CHECK(has(shown.out, "120 rows, 5 columns"));
  CHECK(has(shown.out, "note"));
  CHECK(has(shown.out, "20 to 64"));
  const auto json = run_marginalia(fmt::format("data describe '{}' --json", file));
  const auto described = Json::parse(json.out);
  CHECK(described.at("schema").at("columns").size() == 5);
  const test::TempDir folder;
  write_atomically(folder / "schema.json", json.out);
  const auto again = run_marginalia(fmt::format("data describe '{}' --json schema='{}'", file,
                                                (folder / "schema.json").string()));
  CHECK(again.out == json.out);
  CHECK(run_marginalia("data describe nowhere.csv").code == 2);
  CHECK(has(run_marginalia("data describe people.xyz").err, "say which one: type=NAME"));
}
