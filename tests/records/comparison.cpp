// Every number of a comparison's table, worked out again from the runs it names.
#include "written_study.h"

#include <numbers>
#include <set>

using namespace marginalia;
using test::list_values, test::differences, test::error, test::mean, test::near, test::read_values;
using test::Written;

namespace {

/// p of Student's law with 3 degrees of freedom, two-sided: its closed form.
double p_of_3(double t) {
  const auto x = std::abs(t) / std::sqrt(3.0);
  return 1 - 2 / std::numbers::pi * (x / (1 + x * x) + std::atan(x));
}

}  // namespace

TEST_CASE("every number of the table can be recomputed from the experiments") {
  const Written written;
  const auto comparison = to_json(write_comparison(written.directory, test::facts()));
  const auto& table = comparison.at("table");
  CHECK(comparison.at("baseline") == "low");
  std::vector<std::string> keys;
  for (const auto& column : table.at("columns"))
    keys.push_back(column.at("key"));
  // No run has energy evaluations, so that they are no column.
  CHECK(keys == std::vector<std::string>{"nll", "ess", "marginal_error", "calibration",
                                         "parameters", "steps", "seconds", "passes"});
  int tests = 0;
  for (const auto& row : table.at("rows"))
    for (std::size_t c = 0; c < keys.size(); ++c) {
      const auto& cell = row.at("cells").at(c);
      const std::string name = row.at("row");
      CAPTURE(name);
      CAPTURE(keys[c]);
      const auto values = list_values(read_values(comparison, name, keys[c]));
      CHECK(cell.at("n") == values.size());
      CHECK(cell.at("mean").get<double>() == near(mean(values)));
      CHECK(cell.at("stderr").get<double>() == near(error(values)));
      if (!cell.contains("difference")) continue;
      const auto& difference = cell.at("difference");
      const auto d = differences(comparison, name, "low", keys[c]);
      CHECK(difference.at("n") == d.size());
      CHECK(difference.at("mean").get<double>() == near(mean(d)));
      CHECK(difference.at("stderr").get<double>() == near(error(d)));
      if (difference.at("p").is_null()) continue;
      const auto t = mean(d) / error(d);
      CHECK(difference.at("t").get<double>() == near(t));
      if (d.size() == 4) CHECK(difference.at("p").get<double>() == near(p_of_3(t)));
      ++tests;
    }
  CHECK(tests == 9);  // three rows less the baseline, three metrics that vary
}

TEST_CASE("p is corrected over the rows of a column, and the best is bold only beyond doubt") {
  const Written written;
  const auto comparison = to_json(compare(written.directory, test::facts()));
  const auto& rows = comparison.at("table").at("rows");
  std::vector<double> p;
  for (std::size_t r = 1; r < 4; ++r)
    p.push_back(rows.at(r).at("cells").at(0).at("difference").at("p"));
  auto sorted = p;
  std::ranges::sort(sorted);
  for (std::size_t r = 1; r < 4; ++r) {
    double expected = 0;
    for (std::size_t j = 0; j < 3 && sorted[j] <= p[r - 1]; ++j)
      expected = std::max(expected, std::min(1.0, double(3 - j) * sorted[j]));
    CHECK(rows.at(r).at("cells").at(0).at("difference").at("p_holm").get<double>() ==
          near(expected));
  }
  const auto& best = rows.at(0).at("cells").at(0);  // low: far below the others at each seed
  CHECK(best.at("best") == true);
  CHECK(best.at("significant") == true);
  CHECK_FALSE(rows.at(1).at("cells").at(0).contains("best"));
  CHECK(rows.at(0).at("cells").at(1).at("best") == true);  // of ess, the highest: low's again
  CHECK(rows.at(0).at("cells").at(3).at("best") == true);  // calibration: all the same
  CHECK(rows.at(0).at("cells").at(3).at("significant") == false);
  int pairs = 0;
  for (const auto& pair : comparison.at("table").at("pairs"))
    pairs += pair.at("column") == "nll";
  CHECK(pairs == 6);

  const Written table([](CompareParams& compare) {
    compare.correct_within = "table";
    compare.metrics = {"nll", "ess"};
    compare.baseline = "mid";
    compare.alpha = 1e-6;
  });
  const auto strict = to_json(compare(table.directory, test::facts()));
  CHECK(strict.at("correction") == "Holm, over the tests of a table");
  const auto& cells = strict.at("table").at("rows").at(0).at("cells");
  CHECK(cells.at(0).at("significant") == false);
  CHECK(cells.at(0).at("difference").at("p_holm").get<double>() >
        2.9 * cells.at(0).at("difference").at("p").get<double>());
}

TEST_CASE("the values of a key have columns of their own beside their mean") {
  const Written written([](CompareParams& compare) {
    compare.columns = "seed";
    compare.metrics = {"nll"};
  });
  const auto comparison = to_json(write_comparison(written.directory, test::facts()));
  const auto& table = comparison.at("table");
  CHECK(table.at("columns").at(0).at("key") == "nll");
  CHECK(table.at("columns").at(0).at("label") == "nll");
  for (std::size_t seed = 0; seed < 4; ++seed) {
    CAPTURE(seed);
    CHECK(table.at("columns").at(1 + seed).at("key") == fmt::format("nll of {}", seed));
    CHECK(table.at("columns").at(1 + seed).at("label") == fmt::format("nll, {}", seed));
    for (std::size_t row = 0; row < 4; ++row) {
      const auto& cell = table.at("rows").at(row).at("cells").at(1 + seed);
      if (row == 1 && seed == 3) {  // the run that is not there
        CHECK(cell.at("n") == 0);
        continue;
      }
      CHECK(cell.at("n") == 1);
      CHECK(cell.at("mean").get<double>() == doctest::Approx(Written::loss(row, seed)));
    }
  }
  const auto& whole = table.at("rows").at(0).at("cells").at(0);
  CHECK(whole.at("n") == 4);
  CHECK(whole.at("stderr").is_null());
  CHECK(whole.at("why") == "no error: a single run at 0, 1, 2, 3");
  CHECK_FALSE(table.at("rows").at(1).at("cells").at(0).contains("mean"));
  CHECK(table.at("columns").at(5).at("kind") == "cost");  // once, over all runs

  // And figures of their own: no mean over what is not alike.
  const auto& figures = comparison.at("figures");
  std::set<std::string> drawn;
  for (const auto& figure : figures)
    drawn.insert(figure.at("id").get<std::string>());
  CHECK(drawn.size() == figures.size());  // each has a file
  CHECK_FALSE(drawn.contains("curve-nll-step"));
  for (std::size_t seed = 0; seed < 4; ++seed) {
    CAPTURE(seed);
    CHECK(drawn.contains(fmt::format("size-marginal_error-{}", seed)));
    Json figure;
    for (const auto& one : figures)
      if (one.at("id") == fmt::format("curve-nll-step-{}", seed)) figure = one;
    REQUIRE(figure.is_object());
    CHECK(figure.at("title") == fmt::format("nll, {}", seed));
    CHECK(figure.at("series").size() == (seed == 3 ? 3 : 4));
    const auto& first = figure.at("series").at(0);
    CHECK(first.at("n") == Json{1, 1});
    for (std::size_t i = 0; i < 2; ++i)
      CHECK(first.at("y").at(i).get<double>() ==
            doctest::Approx(Written::loss(0, seed) + 2.0 / double(i + 1)));
  }
}

TEST_CASE("a key with columns of its own makes no rows, and has to vary") {
  const test::TempDir folder;
  const auto read = [&](const char* columns) {
    write_atomically(folder / "s.json", fmt::format(R"({{"marginalia_study": 1,
      "base": {{"marginalia": 1, "energy": {{"type": "toy"}}, "network": {{"type": "flat"}},
               "family": {{"type": "idle"}}, "evaluation": {{"metrics": ["one"]}}}},
      "variants": {{"a": {{}}, "b": {{"training.steps": 3}}}},
      "seeds": 1, "grid": {{"energy.size": [3, 4]}}, "compare": {{"columns": "{}"}}}})",
                                                    columns));
    return read_study(folder / "s.json", {}, test::toy::registry(), 1000);
  };
  CHECK(read("energy.size").row_names() == std::vector<std::string>{"a", "b"});
  const auto refused = test::refusal([&] { read("energy.sise"); });
  CHECK(refused.find("\"columns\": no key that varies within a row is called \"energy.sise\"") !=
        std::string::npos);
}

TEST_CASE("what is missing, altered or ended early is said") {
  const Written written;
  const auto& folder = written.directory.path();
  write_atomically(folder / "runs" / "high-seed0" / "evaluation.json", "{}");
  auto record = Json::parse(read_text(folder / "runs" / "high-seed1" / "run.json"));
  record["status"] = "failed";
  record["error"] = "the loss is nan";
  record["host"] = "another";
  write_atomically(folder / "runs" / "high-seed1" / "run.json", record.dump());
  const auto notes = compare(written.directory, test::facts()).notes;
  CHECK(notes == std::vector<std::string>{
                     "high-seed0 is left out: evaluation.json is not the one that was measured",
                     "high-seed1 is not finished (failed: the loss is nan)", "not run: mid-seed3",
                     "still ended by its steps or by early stopping, at 1 % of its budget"});
}

TEST_CASE("metrics without an estimator, exact ones, and ones that nobody has") {
  const Written written([](CompareParams& compare) { compare.metrics = {"one", "nll/one_pass"}; });
  const auto comparison = to_json(compare(written.directory, test::facts()));
  const auto& cells = comparison.at("table").at("rows").at(0).at("cells");
  CHECK(cells.at(0).at("n") == 0);
  CHECK(cells.at(0).at("why") == "not measured");
  CHECK(cells.at(0).at("text") == "\u2013");
  CHECK(cells.at(1).at("estimator") == "one_pass");
  CHECK(comparison.at("table").at("columns").at(0).at("better").is_null());
}
