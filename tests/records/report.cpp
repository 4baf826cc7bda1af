#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "marginalia_test.h"
#include "records/report/report.h"

using namespace marginalia;

namespace {

namespace fs = std::filesystem;

constexpr auto kRunRecord = R"({"marginalia_run": 1, "name": "small", "status": "finished",
  "spec": {"marginalia": 2, "energy": {"type": "ising", "side": 3}}, "overrides": [], "seed": 0,
  "space": {"dimension": 9, "levels": 2, "shape": [3, 3], "alphabet": []}, "steps": 2})";

/// A run directory that is removed when the test ends.
struct RunFolder {
  RunFolder() : path(fs::temp_directory_path() / fmt::format("marginalia_report_{}", ::getpid())) {
    fs::remove_all(path);
    fs::create_directories(path / "samples");
    write("run.json", kRunRecord);
  }
  ~RunFolder() { fs::remove_all(path); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name, std::ios::binary) << text;
  }
  std::string report() const {
    write_report(path, facts);
    std::stringstream text;
    text << std::ifstream(path / "report.html", std::ios::binary).rdbuf();
    return text.str();
  }
  /// What write_report refuses this folder with, the folder's own name left out.
  std::string refusal() const {
    try {
      write_report(path, facts);
    } catch (const Error& e) {
      const std::string message = e.what();
      REQUIRE(message.starts_with(path.string()));
      return message.substr(path.string().size());
    }
    return "no refusal";
  }
  fs::path path;
  MetricFacts facts = {};
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

}  // namespace

TEST_CASE("a report says what the columns of a table are, without most of their labels") {
  const RunFolder run;
  CHECK(contains(run.report(), R"("table":null)"));
  std::string labels, counts;
  for (int k = 0; k < 20; ++k) {
    labels += fmt::format("{}\"label {}\"", k > 0 ? "," : "", k);
    counts += fmt::format("{}{}", k > 0 ? "," : "", 100 - k);
  }
  run.write("dataset.json", fmt::format(R"({{"schema": {{"rows": 7, "columns": [{{"name": "job",
      "kind": "category", "labels": [{}], "counts": [{}]}}]}}, "bins": {{"age": "for programs"}},
      "gap_tests": [{{"column": "job", "gaps": 1, "rows": 7, "with": []}}]}})",
                                        labels, counts));
  const auto page = run.report();
  CHECK(contains(page, R"("name":"job")"));
  CHECK(contains(page, R"("label 7"])"));
  CHECK(!contains(page, R"("label 8")"));
  CHECK(contains(page, R"("gap_tests":[{"column":"job")"));
  CHECK(!contains(page, "for programs"));
  run.write("dataset.json", R"({"something": "else"})");
  CHECK(contains(run.report(), "dataset.json does not say what the columns are"));
}

TEST_CASE("a report holds the data of its run, and is the only file that is added") {
  const RunFolder run;
  run.write("metrics.jsonl", "{\"step\": 1, \"seconds\": 0.5, \"train/loss\": 0.25}\n"
                             "{\"step\": 2, \"seconds\": 1.0, \"train/loss\": 0.125}\n");
  run.write("evaluation.json", R"({"step": 2, "seconds": 1, "metrics": {"log_z": {"exact":
    {"value": 78.69, "unit": "nats", "status": "exact"}}}, "unavailable": {"nll": "no data"}})");
  run.write("samples/samples.jsonl", R"({"x": [0,1,0,1,0,1,0,1,0], "log_prob": -5.75})");
  run.write("samples/grid.png", "\x89PNG\r\n\x1a\n and the rest");
  const auto page = run.report();

  CHECK(contains(page, "<title>small - marginalia report</title>"));
  CHECK(contains(page, R"("key":"train/loss")"));
  CHECK(contains(page, R"("steps":[1.0,2.0],"seconds":[0.5,1.0],"values":[0.25,0.125])"));
  CHECK(contains(page, R"("value":78.69,"unit":"nats","status":"exact")"));
  CHECK(contains(page, R"("unavailable":{"nll":"no data"})"));
  CHECK(contains(page, R"("log_prob":-5.75)"));
  CHECK(contains(page, "data:image/png;base64,iVBORw0KGgogYW5kIHRoZSByZXN0"));
  CHECK(contains(page, R"("notes":[])"));
  CHECK(std::distance(fs::directory_iterator(run.path), {}) == 5);
}

TEST_CASE("a report holds the scores of the samples, and drawings as text alone") {
  const RunFolder run;
  CHECK(contains(run.report(), R"("scores":[])"));
  run.write("samples/scores.json", R"([{"name": "logp", "target": 4, "values": [3.5, null]}])");
  run.write("samples/drawings.jsonl",
            R"({"text": "C", "svg": "<svg><script>alert(1)</script></svg>"})");
  const auto page = run.report();
  CHECK(contains(page, R"("scores":[{"name":"logp","target":4,"values":[3.5,null]}])"));
  CHECK(contains(page, R"("svg":"\u003csvg>\u003cscript>alert(1)\u003c/script>\u003c/svg>")"));
  CHECK(contains(page, "img-src data:;"));
  run.write("samples/scores.json", "{");
  CHECK(contains(run.report(), "samples/scores.json is not a list and left out"));
}

TEST_CASE("a report holds what is declared of the metrics that it speaks of") {
  RunFolder run;
  run.facts = MetricFacts(Json::parse(R"({"glow": [{"estimator": "*", "label": "afterglow"}],
      "haze": [{"estimator": "*", "label": "haziness"}],
      "murk": [{"estimator": "*", "label": "murkiness"}],
      "other": [{"estimator": "*", "label": "not asked"}]})"));
  run.write("metrics.jsonl", "{\"step\": 1, \"seconds\": 0.5, \"eval/haze/one\": 0.25}\n");
  run.write("evaluation.json", R"({"step": 2, "metrics": {"glow": {"ember": {"value": 1}},
      "unknown": {"a": {"value": 2}}}, "unavailable": {"murk": "too dark"}})");
  const auto page = run.report();
  CHECK(contains(page, R"("facts":{"glow":[{"estimator":"*","label":"afterglow"}],"haze":[{"est)"));
  CHECK(contains(page, "murkiness"));
  CHECK_FALSE(contains(page, "not asked"));
}

TEST_CASE("a report asks the network for nothing") {
  const RunFolder run;
  const auto page = run.report();
  for (const auto* forbidden :
       {"<link", "<iframe", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "import("})
    CHECK_MESSAGE(!contains(page, forbidden), forbidden);
  CHECK(!std::regex_search(page, std::regex(R"((src|href)\s*=\s*["'])")));
  CHECK(contains(page, "default-src 'none'"));
  // http-equiv, the plotting library naming its home, and the name space of drawings.
  CHECK(count(page, "http") == 3);
  CHECK(contains(page, "\"http://www.w3.org/2000/svg\""));
  CHECK(contains(page, "/*! https://github.com/leeoniya/uPlot"));
  CHECK(contains(page, "The above copyright notice and this permission notice"));
  CHECK(!contains(page, "{{"));
}

TEST_CASE("a report says what is missing") {
  const RunFolder run;
  const auto page = run.report();
  CHECK(contains(page, R"("evaluation":null)"));
  CHECK(
      contains(page, R"("notes":["there is no metrics.jsonl, so there are no learning curves"])"));
}

TEST_CASE("a report leaves out a metrics line that is still being written") {
  const RunFolder run;
  run.write("metrics.jsonl", "{\"step\": 1, \"train/loss\": 0.25}\n{\"step\": 2, \"train/lo");
  const auto page = run.report();
  CHECK(contains(page, R"("steps":[1.0],"seconds":[null],"values":[0.25])"));
  CHECK(contains(page, "the last line of metrics.jsonl (line 2) is incomplete and left out"));
}

TEST_CASE("a report counts a repeated step once and values that are not finite apart") {
  const RunFolder run;
  run.write("metrics.jsonl",
            "{\"step\": 2, \"loss\": 3}\n{\"step\": 1, \"loss\": 4}\n"
            "{\"step\": 2, \"loss\": 5}\n{\"step\": 3, \"loss\": null}\nNaN\n{}\n");
  const auto page = run.report();
  CHECK(contains(page, R"("steps":[1.0,2.0],"seconds":[null,null],"values":[4.0,5.0])"));
  CHECK(contains(page, R"("not_finite":1)"));
  CHECK(contains(page, "1 line(s) of metrics.jsonl are not JSON objects and left out"));
}

TEST_CASE("a long curve is thinned without losing a spike") {
  const RunFolder run;
  std::string lines;
  for (int step = 0; step < 10'000; ++step)
    lines += fmt::format("{{\"step\": {}, \"loss\": {}}}\n", step, step == 5'001 ? 777.5 : 1);
  run.write("metrics.jsonl", lines);
  const auto page = run.report();
  CHECK(contains(page, R"("points":10000,"thinned":true)"));
  CHECK(contains(page, "777.5"));
  CHECK(page.size() < 200'000);
}

TEST_CASE("text of a run cannot become part of the page") {
  const RunFolder run;
  const auto page_before = run.report();
  const std::string hostile = "</script><script>alert(1)</script><!-- {{data}}";
  run.write("run.json", fmt::format(R"({{"marginalia_run": 1, "name": "{0}", "spec": {{"note":
    "{0}"}}}})",
                                    hostile));
  run.write("samples/samples.jsonl", fmt::format(R"({{"text": "{}", "x": [0]}})", hostile));
  const auto page = run.report();
  CHECK(count(page, "</script>") == count(page_before, "</script>"));
  CHECK(count(page, "<script>") == count(page_before, "<script>"));
  CHECK(!contains(page, "<!--"));
  CHECK(contains(page,
                 R"("note":"\u003c/script>\u003cscript>alert(1)\u003c/script>\u003c!-- {{data}})"));
  CHECK(contains(page, "<title>&lt;/script>"));
}

TEST_CASE("a folder that is not a run is refused") {
  const RunFolder run;
  run.write("run.json", R"({"marginalia_run": 2})");
  CHECK(run.refusal() == "/run.json: \"marginalia_run\" must be 1, not 2; read it with the "
                         "marginalia that wrote it");
  run.write("run.json", "{}");
  CHECK(run.refusal() ==
        "/run.json: \"marginalia_run\" must be 1, and is missing; name a directory "
        "that \"marginalia run\" wrote");
  run.write("run.json", "[1, 2");
  CHECK(run.refusal() == "/run.json: must be one JSON object; name a directory that \"marginalia "
                         "run\" wrote");
  fs::remove(run.path / "run.json");
  CHECK(run.refusal() == ": is not a run, it holds no run.json; name a directory that \"marginalia "
                         "run\" wrote");
  fs::remove_all(run.path);
  CHECK(run.refusal() == ": no such directory; name a directory that \"marginalia run\" wrote");
  CHECK(!fs::exists(run.path / "report.html"));
}
