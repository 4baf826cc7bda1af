// What a comparison prints, draws and fits, worked out again from the runs it names.
#include "written_study.h"

#include <regex>
#include <set>

#include "host/runs/agreement.h"

using namespace marginalia;
using test::list_values, test::differences, test::error, test::mean, test::near, test::read_values;
using test::Written;
namespace fs = std::filesystem;

namespace {

/// The two numbers of "1.234 +- 0.056", whatever stands before and after.
std::pair<double, double> printed(const std::string& text) {
  std::smatch found;
  const std::regex number("(-?[0-9.]+)( \u00b1 ([0-9.]+))?");
  REQUIRE(std::regex_search(text, found, number));
  return {std::stod(found[1]), found[3].matched ? std::stod(found[3]) : 0};
}

}  // namespace

TEST_CASE("the printed tables say what comparison.json says") {
  const Written written;
  const auto comparison = to_json(write_comparison(written.directory, test::facts()));
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
      if (cell.at("column") == "nll") line += " ensemble";  // a shared column names it in each cell
      const auto [value, printed_error] = printed(text);
      CHECK(value == doctest::Approx(cell.at("mean").get<double>()).epsilon(0.02));
      if (printed_error > 0)
        CHECK(printed_error == doctest::Approx(cell.at("stderr").get<double>()).epsilon(0.06));
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
  const auto compared = compare(written.directory, test::facts());
  std::set<std::string> ids;
  for (const auto& plot : compared.plots) {
    ids.insert(plot.id);
    CHECK(svg_plot(plot).ends_with("</svg>\n"));
  }
  CHECK(ids == std::set<std::string>{"curve-nll-step", "curve-nll-seconds", "curve-nll-passes",
                                     "size-marginal_error", "calibration"});
  const auto comparison = to_json(compared);
  for (const auto& figure : comparison.at("figures")) {
    const auto& low = figure.at("series").at(0);
    CHECK(low.at("label") == (figure.at("group") == "curves" ? "low, masked" : "low"));
    if (figure.at("id") == "curve-nll-step") {
      const auto values = list_values(read_values(comparison, "low", "nll"));
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
            near(2 * mean(list_values(read_values(comparison, "low", "nll")))));
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
  const auto compared = compare(written.directory, test::facts());
  const auto comparison = to_json(compared);
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
  const auto page = markdown_table(compared);
  CHECK(page.find("Power laws of nll/masked") != std::string::npos);

  const Written few([](CompareParams& compare) { compare.scaling = {"nll/none", 0}; });
  CHECK(compare(few.directory, test::facts()).scaling.why ==
        "no finished run has this metric above 0, with parameters and passes");
}

TEST_CASE("a study's report holds its data, and asks the network for nothing") {
  const Written written;
  write_comparison(written.directory, test::facts());
  const auto page = read_text(written.directory.path() / "report.html");
  CHECK(page.find("\"marginalia_comparison\":1") != std::string::npos);
  const auto shown = page_json(compare(written.directory, test::facts()));
  CHECK(shown.at("table").contains("rows"));
  CHECK_FALSE(shown.at("table").contains("pairs"));
  for (const auto& e : shown.at("experiments"))
    for (const auto* key : {"figures", "curves", "unavailable"})
      CHECK_FALSE(e.contains(key));
  CHECK(page.find("\\u003c/s>") != std::string::npos);  // a sample's text is no tag
  CHECK(page.find("{{") == std::string::npos);
  for (const auto* forbidden :
       {"<link", "<iframe", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "import("})
    CHECK_MESSAGE(page.find(forbidden) == std::string::npos, forbidden);
  CHECK(fs::exists(written.directory.path() / "figures" / "calibration.svg"));
}

TEST_CASE("numbers are printed to two digits of their error") {
  const auto text = [](double value, double error) { return number_text(value, error); };
  CHECK(text(78.6901, 0.0123) == "78.690 \u00b1 0.012");
  CHECK(text(123456, 789) == "123456 \u00b1 789");
  CHECK(text(5.8e8, 1.2e6) == "(5.800 \u00b1 0.012)e8");
  CHECK(text(0.00001234, 0.0000005) == "(1.234 \u00b1 0.050)e-5");
  CHECK(text(3.14159265, 0) == "3.14159");                        // no spread
  CHECK(text(0.00276331, 4.4e-17) == "0.00276331 \u00b1 4e-17");  // its digits reach no error
  CHECK(text(0.5, 4e-13) == "0.5 \u00b1 4e-13");
  CHECK(text(0, 4e-17) == "(0.0 \u00b1 4.0)e-17");
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
    return found == all.end() ? std::string("not there") : std::string(to_string(found->agreement));
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
