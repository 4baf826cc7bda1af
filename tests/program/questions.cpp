/// Questions to a run and to an energy, as a user types them.

#include <fstream>

#include <fmt/format.h>

#include <marginalia/files.h>

#include "tiny_run.h"

using namespace marginalia;
using test::has, test::kTiny, test::run_marginalia, test::Result, test::tiny_run;
namespace fs = std::filesystem;

TEST_CASE("a run writes what was promised, and answers questions") {
  const auto& run = tiny_run();
  for (const auto* file : {"run.json", "metrics.jsonl", "evaluation.json", "report.html", "log.txt",
                           "samples/samples.jsonl", "checkpoints/last.safetensors"})
    CHECK(fs::exists(run / file));
  CHECK(Json::parse(read_text(run / "run.json")).at("status") == "finished");

  const std::string question = R"({"x": [0,1,null,null,1,0,null,null,1], "id": 7})"
                               "\n"
                               R"({"x": [null,null,null,null,null,null,null,null,null]})"
                               "\n"
                               R"({"x": [0,1,null,null,null,null,null,null,null], "given": )"
                               R"([0,null,null,null,null,null,null,null,null]})"
                               "\n";
  const auto ask = [&](const std::string& more) {
    const auto result =
        run_marginalia(fmt::format("marginals '{}' --input - {}", run.string(), more), question);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    std::vector<Json> lines;
    std::stringstream all(result.out);
    for (std::string line; std::getline(all, line);)
      lines.push_back(Json::parse(line));
    REQUIRE(lines.size() == 3);
    return lines;
  };
  const auto exact = ask("--estimator exact");
  CHECK(exact[0].at("id") == 7);
  CHECK(exact[1].at("log_marginal").get<double>() == doctest::Approx(0).epsilon(1e-9));
  for (const auto* estimator : {"one_pass", "chain", "ensemble"}) {
    CAPTURE(estimator);
    const auto lines = ask(fmt::format("--estimator {}", estimator));
    CHECK(lines[0].at("estimator") == estimator);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(std::abs(lines[i].at("log_marginal").get<double>() -
                     exact[i].at("log_marginal").get<double>()) < 0.1);
  }
  CHECK(ask("")[0].at("estimator") == "one_pass");

  const auto conditionals = run_marginalia(fmt::format("conditionals '{}' --input -", run.string()),
                                           R"({"x": [0,1,null,0,1,0,1,0,1]})");
  REQUIRE(conditionals.code == 0);
  const auto p = Json::parse(conditionals.out).at("probabilities");
  CHECK(p[0].is_null());
  CHECK(p[2][0].get<double>() + p[2][1].get<double>() == doctest::Approx(1));

  const auto mistaken = run_marginalia(
      fmt::format("conditionals '{}' --input -", run.string()),
      R"({"x": [0,1,null,0,1,0,1,0,1], "given": [0,null,null,null,null,null,null,null,null]})");
  CHECK(mistaken.code == 2);
  CHECK(has(mistaken.err, "stdin:1: conditionals are given all of \"x\""));

  const auto samples = run_marginalia(
      fmt::format("sample '{}' --count 2 --given -", run.string()),
      R"({"x": [0,1,null,null,null,null,null,null,null], "id": "first", "log_prob": 7})"
      "\n"
      R"({"x": [0,1,0,0,0,0,null,null,null], "id": "second"})");
  REQUIRE(samples.code == 0);
  std::stringstream all(samples.out);
  int count = 0;
  for (std::string line; std::getline(all, line); ++count) {
    const auto sample = Json::parse(line);
    CHECK(sample.at("x")[0] == 0);
    CHECK(sample.at("x")[1] == 1);
    CHECK(sample.at("given")[2].is_null() == (count < 2));
    CHECK(sample.at("id") == (count < 2 ? "first" : "second"));
    CHECK(sample.at("log_prob").get<double>() < 0);
  }
  CHECK(count == 4);
  CHECK(run_marginalia(fmt::format("resume '{}'", run.string())).code == 0);
  CHECK(
      has(run_marginalia(fmt::format("runs '{}' --where energy.side=3", run.parent_path().string()))
              .out,
          "finished"));
  CHECK(run_marginalia(fmt::format("evaluate '{}' --metrics ess", run.string())).code == 0);
}

TEST_CASE("questions may be asked in text, whole or at a place") {
  const auto& run = tiny_run();
  const auto ask = [&](const std::string& verb, const std::string& line) {
    return run_marginalia(fmt::format("{} '{}' {}", verb.substr(0, verb.find(' ')), run.string(),
                                      verb.substr(verb.find(' ') + 1)),
                          line + "\n");
  };
  const auto as_list = ask("marginals --input -", R"({"x": [0,1,null,null,1,0,null,null,1]})");
  const auto as_text = ask("marginals --input -", R"({"text": "01?/?10/??1"})");
  REQUIRE_MESSAGE(as_text.code == 0, as_text.err);
  CHECK(Json::parse(as_text.out).at("log_marginal") == Json::parse(as_list.out).at("log_marginal"));
  CHECK(Json::parse(as_text.out).at("text") == "01?/?10/??1");
  const auto list_given =
      ask("marginals --input -", R"({"x": [0,1,null,null,null,null,null,null,null], )"
                                 R"("given": [0,null,null,null,null,null,null,null,null]})");
  const auto text_given = ask("marginals --input -", R"({"x": "01???????", "given": {"text": "0", )"
                                                     R"("at": 0}})");
  CHECK(text_given.out == list_given.out);
  const auto placed = ask("sample --count 1 --given -", R"({"text": "11", "at": 4})");
  REQUIRE_MESSAGE(placed.code == 0, placed.err);
  CHECK(Json::parse(placed.out).at("given").dump() == "[null,null,null,null,1,1,null,null,null]");
  CHECK(Json::parse(placed.out).at("x")[4] == 1);
  const auto wrong = ask("conditionals --input -", R"({"text": "01?/?12/??1"})");
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "stdin:1: character 7: \"2\" is not a letter; there is: 0 1 ?"));
}

TEST_CASE("exact answers without training, and refuses what is too large") {
  test::TempDir folder;
  write_atomically(folder / "tiny.json", kTiny);
  const auto spec = (folder / "tiny.json").string();
  const auto result = run_marginalia(fmt::format("exact '{}'", spec));
  REQUIRE(result.code == 0);
  const auto json = Json::parse(result.out);
  CHECK(json.at("single_marginals").size() == 9);
  const auto wide = run_marginalia(fmt::format("exact '{}' energy.side=13", spec));
  REQUIRE(wide.code == 0);  // of a wide torus log Z alone is known, and how well
  CHECK(Json::parse(wide.out).at("method") == "extrapolated from strips of width 11 and 12");
  CHECK(Json::parse(wide.out).at("error").get<double>() < 1e-3);
  const auto refused =
      run_marginalia(fmt::format("exact '{}' energy.side=21 energy.boundary=open", spec));
  CHECK(refused.code == 2);
  CHECK(refused.out.empty());
  CHECK(has(refused.err, "no exact answer"));

  // each factor can be met, both together by no state
  write_atomically(folder / "none.uai",
                   "MARKOV\n2\n2 2\n2\n2 0 1\n2 0 1\n4\n1 0 0 1\n4\n0 1 1 0\n");
  write_atomically(folder / "none.json",
                   R"({"marginalia": 2, "energy": {"type": "factor_graph", "file": "none.uai"}})");
  const auto none = run_marginalia(fmt::format("exact '{}'", (folder / "none.json").string()));
  CHECK(none.code == 2);
  CHECK(none.out.empty());
  CHECK(has(none.err, "every state is forbidden"));
}

TEST_CASE("a question of the wrong shape is refused by line") {
  const auto run = tiny_run().string();
  const auto refuse = [&](const std::string& line, const std::string& message) {
    const auto result = run_marginalia(fmt::format("marginals '{}' --input -", run), line + "\n");
    CAPTURE(result.err);
    CHECK(result.code == 2);
    CHECK(has(result.err, message));
  };
  refuse(R"({"x": [0, 1]})", "stdin:1: \"x\" has 2 values, the model has 9 variables");
  refuse(R"({"x": [0,1,2,0,0,0,0,0,0]})", "\"x\"[2] must be null or an integer from 0 to 1, not 2");
  refuse(R"({"y": []})", "stdin:1: needs \"x\"");
  refuse("[1, 2", "stdin:1: must be a JSON object");
  const auto unknown =
      run_marginalia(fmt::format("marginals '{}' --input - --estimator one_pas", run),
                     R"({"x": [0,1,0,0,0,0,0,0,0]})");
  CHECK(unknown.code == 2);
  CHECK(has(unknown.err, "did you mean \"one_pass\"?"));
  CHECK(run_marginalia(fmt::format("marginals '{}' --input '{}/none'", run, run)).code == 2);
}

TEST_CASE("an altered checkpoint is refused when asked of") {
  test::TempDir folder;
  fs::copy(tiny_run(), folder / "run",
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const auto last = folder / "run/checkpoints" /
                    fs::read_symlink(folder / "run/checkpoints/last.safetensors").string();
  std::fstream file(last, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-100, std::ios::end);
  file.put('\x5a');
  file.close();
  const auto result =
      run_marginalia(fmt::format("marginals '{}' --input -", (folder / "run").string()),
                     R"({"x": [0,1,0,0,0,0,0,0,0]})");
  CHECK(result.code == 1);
  CHECK(has(result.err, "altered"));
}
