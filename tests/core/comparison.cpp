// Every number of a comparison, worked out again from the runs it names.
#include "toy.h"

#include <cmath>
#include <functional>
#include <numbers>
#include <regex>
#include <set>

#include <fmt/format.h>

#include <marginalia/agreement.h>
#include <marginalia/comparison.h>
#include <marginalia/files.h>
#include <marginalia/run_directory.h>
#include <marginalia/study_directory.h>

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// p of Student's law with 3 degrees of freedom, two-sided: its closed form.
double p_of_3(double t) {
  const auto x = std::abs(t) / std::sqrt(3.0);
  return 1 - 2 / std::numbers::pi * (x / (1 + x * x) + std::atan(x));
}

/// A study of four variants and four seeds whose runs are written by hand: nobody trains here.
struct Written {
  test::TempDir folder;
  StudyDirectory directory{folder / "study"};
  Study study;

  explicit Written(const std::function<void(CompareParams&)>& change = [](CompareParams&) {}) {
    write_atomically(folder / "s.json", R"({"marginalia_study": 1, "note": "fake",
      "base": {"marginalia": 1, "energy": {"type": "toy"}, "network": {"type": "flat"},
               "family": {"type": "idle"}, "evaluation": {"metrics": ["one"]}},
      "variants": {"low": {}, "mid": {"energy.size": 4}, "high": {"energy.size": 5},
                   "still": {"energy.size": 6}},
      "seeds": 4, "budget": {"seconds": 100}})");
    study = read_study(folder / "s.json", {}, test::toy::registry(), 1000);
    change(study.compare);
    directory.record(study);
    for (std::size_t i = 0; i < study.experiments.size(); ++i)
      if (study.experiments[i].name != "mid-seed3") write(i);
  }

  /// Different enough between variants to be told apart, and noisy between seeds.
  static double loss(std::size_t variant, std::size_t seed) {
    constexpr double kNoise[] = {0.011, -0.007, 0.004, -0.013};
    if (variant == 3) return 3;  // the same whatever the seed
    return 1 + double(variant) + kNoise[seed] * (1 + 0.7 * double(variant * seed));
  }

  void write(std::size_t i) const {
    const auto& e = study.experiments[i];
    const auto variant = i / 4, seed = i % 4;
    auto run = RunDirectory::create(directory.path() / "runs" / e.name, false);
    const auto value = loss(variant, seed);
    const double seconds = variant == 3 ? 1 : 100 + double(seed);
    run.set_record({{"marginalia_run", 1},
                    {"spec", e.spec},
                    {"spec_sha256", e.hash},
                    {"status", "finished"},
                    {"parameters", 100 * (variant + 1)},
                    {"steps", 20},
                    {"train_seconds", seconds},
                    {"energy_evaluations", 0},
                    {"network_passes", 5000},
                    {"threads", 2},
                    {"host", "h"},
                    {"space", {{"dimension", 3}, {"levels", 2}}}});
    Json bins = Json::array();
    bins.push_back({{"predicted", 0.25}, {"observed", 0.2}, {"count", 10 * (seed + 1)}});
    Json sizes = Json::array();
    for (const auto size : {1, 2})
      sizes.push_back({{"size", size}, {"rms", value * size}});
    run.write_evaluation(
        {{"metrics",
          {{"nll",
            {{"one_pass", {{"value", value - 0.1}, {"unit", "nats"}, {"status", "estimate"}}},
             {"ensemble",
              {{"value", value}, {"stderr", 0.5}, {"unit", "nats"}, {"status", "upper"}}}}},
           {"ess", {{"importance", {{"value", 1 / value}, {"unit", "fraction"}}}}},
           {"marginal_error", {{"one_pass", {{"value", value}, {"by_size", sizes}}}}},
           {"calibration", {{"one_pass", {{"value", 0.01}, {"bins", bins}}}}}}},
         {"unavailable", {{"kl_reverse", "no oracle"}}}});
    std::string lines;
    for (const auto step : {10, 20})
      lines += fmt::format("{{\"step\": {0}, \"seconds\": {1}, \"train/passes\": {2}}}\n"
                           "{{\"step\": {0}, \"seconds\": {1}, \"eval/nll/masked\": {3}}}\n",
                           step, seconds * step / 20, 250 * step, value + 20.0 / step);
    write_atomically(run.path() / "metrics.jsonl", lines);
    fs::create_directories(run.path() / "samples");
    write_atomically(run.path() / "samples" / "samples.jsonl",
                     R"({"x": [0, 1, 0], "text": "</s>"})");
  }
};

/// Values of a row in a column, by pair: from "experiments" alone.
std::map<std::string, double> values_of(const Json& comparison, const std::string& row,
                                        const std::string& column) {
  std::map<std::string, double> values;
  for (const auto& e : comparison.at("experiments")) {
    if (e.at("row") != row || !e.contains("figures")) continue;
    const auto pair = e.at("pair").dump();
    if (e.at("costs").contains(column))
      values[pair] = e.at("costs").at(column).get<double>();
    else if (column == "nll")
      values[pair] = e.at("figures").at("nll/ensemble").at("value").get<double>();
    else if (e.at("figures").contains(column))
      values[pair] = e.at("figures").at(column).at("value").get<double>();
    else
      for (const auto& [key, figure] : e.at("figures").items())
        if (key.starts_with(column + "/")) values[pair] = figure.at("value").get<double>();
  }
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const auto value : values)
    sum += value / double(values.size());
  return sum;
}

double error(const std::vector<double>& values) {
  double sum = 0;
  for (const auto value : values)
    sum += std::pow(value - mean(values), 2);
  return std::sqrt(sum / double(values.size() * (values.size() - 1)));
}

std::vector<double> all_of(const std::map<std::string, double>& by_pair) {
  std::vector<double> values;
  for (const auto& [_, value] : by_pair)
    values.push_back(value);
  return values;
}

std::vector<double> differences(const Json& comparison, const std::string& a, const std::string& b,
                                const std::string& column) {
  const auto left = values_of(comparison, a, column), right = values_of(comparison, b, column);
  std::vector<double> all;
  for (const auto& [pair, value] : left)
    if (right.contains(pair)) all.push_back(value - right.at(pair));
  return all;
}

auto near(double value) {
  return doctest::Approx(value).epsilon(1e-9);
}

/// The two numbers of "1.234 +- 0.056", whatever stands before and after.
std::pair<double, double> printed(const std::string& text) {
  std::smatch found;
  const std::regex number("(-?[0-9.]+)( \u00b1 ([0-9.]+))?");
  REQUIRE(std::regex_search(text, found, number));
  return {std::stod(found[1]), found[3].matched ? std::stod(found[3]) : 0};
}

}  // namespace

TEST_CASE("every number of the table can be recomputed from the experiments") {
  const Written written;
  const auto comparison = write_comparison(written.directory);
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
      const auto values = all_of(values_of(comparison, name, keys[c]));
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
  const auto comparison = compare(written.directory);
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
  const auto strict = compare(table.directory);
  CHECK(strict.at("correction") == "Holm, over the tests of a table");
  const auto& cells = strict.at("table").at("rows").at(0).at("cells");
  CHECK(cells.at(0).at("significant") == false);
  CHECK(cells.at(0).at("difference").at("p_holm").get<double>() >
        2.9 * cells.at(0).at("difference").at("p").get<double>());
}

TEST_CASE("the values of a key have columns of their own beside that of all runs") {
  const Written written([](CompareParams& compare) {
    compare.columns = "seed";
    compare.metrics = {"nll"};
  });
  const auto comparison = write_comparison(written.directory);
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
  CHECK(table.at("columns").at(5).at("kind") == "cost");  // once, over all runs
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

TEST_CASE("the printed tables say what comparison.json says") {
  const Written written;
  const auto comparison = write_comparison(written.directory);
  const auto& folder = written.directory.path();
  CHECK(Json::parse(read_text(folder / "comparison.json")).at("table") == comparison.at("table"));
  const auto markdown = read_text(folder / "comparison.md");
  const auto latex = read_text(folder / "comparison.tex");
  const auto csv = read_text(folder / "comparison.csv");
  int numbers = 0;
  for (const auto& row : comparison.at("table").at("rows")) {
    std::string line = "| " + row.at("row").get<std::string>();
    for (const auto& cell : row.at("cells")) {
      const std::string text = cell.at("text");
      line += cell.value("significant", false) ? " | **" + text + "**" : " | " + text;
      const auto [value, error_of] = printed(text);
      CHECK(value == doctest::Approx(cell.at("mean").get<double>()).epsilon(0.02));
      if (error_of > 0)
        CHECK(error_of == doctest::Approx(cell.at("stderr").get<double>()).epsilon(0.06));
      CHECK(csv.find(fmt::format("{},{},", cell.at("mean").dump(), cell.at("stderr").dump())) !=
            std::string::npos);
      if (cell.contains("difference")) {
        const auto& d = cell.at("difference");
        CHECK(markdown.find(" " + d.at("text").get<std::string>() + " |") != std::string::npos);
        CHECK(printed(d.at("text")).first ==
              doctest::Approx(d.at("mean").get<double>()).epsilon(0.02));
      }
      ++numbers;
    }
    CHECK(markdown.find(line + " |\n") != std::string::npos);
  }
  CHECK(numbers == 32);
  CHECK(latex.find("\\textbf{$\\leq$ 0.9") != std::string::npos);
  CHECK(latex.find("\\pm") != std::string::npos);
  CHECK(latex.find("_") == std::string::npos);
}

TEST_CASE("curves, sizes and calibration can be recomputed from the experiments") {
  const Written written;
  const auto comparison = compare(written.directory);
  std::set<std::string> ids;
  for (const auto& figure : comparison.at("figures")) {
    ids.insert(figure.at("id"));
    CHECK(svg_figure(figure).ends_with("</svg>\n"));
  }
  CHECK(ids == std::set<std::string>{"curve-nll-step", "curve-nll-seconds", "curve-nll-passes",
                                     "size-marginal_error", "calibration"});
  for (const auto& figure : comparison.at("figures")) {
    const auto& low = figure.at("series").at(0);
    CHECK(low.at("label") == "low");
    if (figure.at("id") == "curve-nll-step") {
      const auto values = all_of(values_of(comparison, "low", "nll"));
      CHECK(low.at("x") == Json{10, 20});
      CHECK(low.at("y").at(1).get<double>() == near(mean(values) + 1));
      CHECK(low.at("high").at(1).get<double>() == near(mean(values) + 1 + error(values)));
    }
    if (figure.at("id") == "curve-nll-passes") CHECK(low.at("x") == Json{2500, 5000});
    if (figure.at("id") == "curve-nll-seconds") {
      // Seeds differ in speed: seed 0 ends first, at 100 s; there the others are at part of a line.
      CHECK(low.at("x").back() == 100);
      double expected = 0;
      for (std::size_t seed = 0; seed < 4; ++seed) {
        const auto end = 100.0 + double(seed), part = (100 - end / 2) / (end / 2);
        expected += (Written::loss(0, seed) + 2 - part) / 4;
      }
      CHECK(low.at("y").back().get<double>() == near(expected));
    }
    if (figure.at("id") == "size-marginal_error")
      CHECK(low.at("y").at(1).get<double>() ==
            near(2 * mean(all_of(values_of(comparison, "low", "nll")))));
    if (figure.at("id") == "calibration") {
      CHECK(low.at("n").at(0) == 100);  // 10 + 20 + 30 + 40 predictions
      CHECK(low.at("y").at(0).get<double>() == near(0.2));
      CHECK(low.at("high").at(0).get<double>() == near(0.2 + std::sqrt(0.2 * 0.8 / 100)));
    }
  }
}

TEST_CASE("power laws are fitted to all checkpoints and judged by what was held out") {
  const Written written([](CompareParams& compare) { compare.scaling = {"nll/masked", 0}; });
  const std::vector<double> sizes{100, 400, 1600, 6400};
  for (std::size_t i = 0; i < 16; ++i) {
    const auto run = written.directory.path() / "runs" / written.study.experiments[i].name;
    if (!fs::exists(run)) continue;
    auto record = Json::parse(read_text(run / "run.json"));
    record["parameters"] = sizes[i / 4];
    write_atomically(run / "run.json", record.dump());
    std::string lines;
    for (const double step : {5, 10, 20, 40})
      lines += fmt::format("{{\"step\": {}, \"seconds\": 1, \"train/passes\": {}, "
                           "\"eval/nll/masked\": {}}}\n",
                           step, 128 * step,
                           1 + 3 * std::pow(sizes[i / 4], -0.5) + 9 * std::pow(128 * step, -0.7));
    write_atomically(run / "metrics.jsonl", lines);
  }
  const auto comparison = compare(written.directory);
  const auto& scaling = comparison.at("scaling");
  CHECK(scaling.at("points").size() == 60);
  REQUIRE(scaling.at("laws").size() == 4);
  const auto& both = scaling.at("laws").at(3);
  CHECK(both.at("axis") == "parameters and data");
  CHECK(both.at("alpha").get<double>() == doctest::Approx(0.5).epsilon(0.02));
  CHECK(both.at("beta").get<double>() == doctest::Approx(0.7).epsilon(0.02));
  CHECK(both.at("alpha_stderr").get<double>() < 0.05);
  CHECK(both.at("held_out").at("points") == 16);
  CHECK(both.at("held_out").at("relative_error_rms").get<double>() < 1e-3);
  double squares = 0;
  for (const auto& one : both.at("held_out").at("of"))
    squares += std::pow(one.at("predicted").get<double>() / one.at("seen").get<double>() - 1, 2);
  CHECK(both.at("held_out").at("relative_error_rms").get<double>() ==
        near(std::sqrt(squares / 16)));
  const auto& parameters = scaling.at("laws").at(0);
  CHECK(parameters.at("points") == 15);  // the last of each run
  CHECK(parameters.at("alpha").get<double>() == doctest::Approx(0.5).epsilon(0.02));
  CHECK(parameters.at("held_out").at("relative_error_rms").get<double>() <
        parameters.at("held_out").at("constant_relative_error_rms").get<double>());
  const auto page = markdown_table(comparison);
  CHECK(page.find("Power laws of nll/masked") != std::string::npos);

  const Written few([](CompareParams& compare) { compare.scaling = {"nll/none", 0}; });
  CHECK(compare(few.directory).at("scaling").at("why") ==
        "no finished run has this metric above 0, with parameters and passes");
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
  const auto notes = compare(written.directory).at("notes");
  CHECK(notes == Json{"high-seed0 is left out: evaluation.json is not the one that was measured",
                      "high-seed1 is not finished (failed: the loss is nan)", "not run: mid-seed3",
                      "still ended by its steps or by early stopping, at 1 % of its budget"});
}

TEST_CASE("metrics without an estimator, exact ones, and ones that nobody has") {
  const Written written([](CompareParams& compare) { compare.metrics = {"one", "nll/one_pass"}; });
  const auto comparison = compare(written.directory);
  const auto& cells = comparison.at("table").at("rows").at(0).at("cells");
  CHECK(cells.at(0).at("n") == 0);
  CHECK(cells.at(0).at("why") == "not measured");
  CHECK(cells.at(0).at("text") == "\u2013");
  CHECK(cells.at(1).at("estimator") == "one_pass");
  CHECK(comparison.at("table").at("columns").at(0).at("better").is_null());
}

TEST_CASE("a study's report holds its data, and asks the network for nothing") {
  const Written written;
  write_comparison(written.directory);
  const auto page = read_text(written.directory.path() / "report.html");
  CHECK(page.find("\"marginalia_comparison\":1") != std::string::npos);
  CHECK(page.find("\\u003c/s>") != std::string::npos);  // a sample's text is no tag
  CHECK(page.find("{{") == std::string::npos);
  for (const auto* forbidden :
       {"<link", "<iframe", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "import("})
    CHECK_MESSAGE(page.find(forbidden) == std::string::npos, forbidden);
  CHECK(fs::exists(written.directory.path() / "figures" / "calibration.svg"));
}

TEST_CASE("numbers are printed to two digits of their error") {
  const auto text = [](double value, double error) { return number_text(value, &error); };
  CHECK(text(78.6901, 0.0123) == "78.690 \u00b1 0.012");
  CHECK(text(123456, 789) == "123456 \u00b1 789");
  CHECK(text(5.8e8, 1.2e6) == "(5.800 \u00b1 0.012)e8");
  CHECK(text(0.00001234, 0.0000005) == "(1.234 \u00b1 0.050)e-5");
  CHECK(text(3.14159265, 0) == "3.14159");  // no spread
  CHECK(number_text(3.14159) == "3.142");
  CHECK(number_text(594080384) == "5.941e+08");
  CHECK(number_text(1200) == "1200");
}

TEST_CASE("two runs agree number by number, times apart") {
  const Written written;
  const auto runs = written.directory.path() / "runs";
  const auto a = runs / "low-seed0", b = runs / "low-seed1";
  const auto of = [](const std::vector<ComparedNumber>& all, const std::string& name) {
    const auto found = std::ranges::find(all, name, &ComparedNumber::name);
    return found == all.end() ? std::string("not there") : std::string(name_of(found->agreement));
  };
  const auto same = compare_runs(a, a);
  CHECK(std::ranges::all_of(
      same, [](const auto& number) { return number.agreement == Agreement::kIdentical; }));
  const auto apart = compare_runs(a, b);
  CHECK(of(apart, "nll/ensemble") == "within error");  // stderr 0.5
  CHECK(of(apart, "nll/ensemble stderr") == "identical");
  CHECK(of(apart, "nll/one_pass") == "differs");
  CHECK(of(apart, "parameters") == "identical");
  CHECK(of(apart, "train_seconds") == "not there");
  CHECK(of(apart, "steps") == "not there");  // a budget of seconds ended it
  auto record = Json::parse(read_text(b / "run.json"));
  record["threads"] = 1;
  record["spec"]["training"]["budget"]["seconds"] = 0;
  write_atomically(b / "run.json", record.dump());
  CHECK(changed_circumstances(a, b) == std::vector<std::string>{"threads: 2, now 1"});
  CHECK(of(compare_runs(b, b), "eval/nll/masked at step 10") == "identical");
  CHECK(of(compare_runs(b, a), "steps") == "missing");
}
