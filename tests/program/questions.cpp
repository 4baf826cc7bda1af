/// Questions to a run and to an energy, as a user types them.

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

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

namespace {

/// Lines of JSON.
std::vector<Json> read_lines(const Result& result) {
  REQUIRE_MESSAGE(result.code == 0, result.err);
  std::vector<Json> lines;
  std::stringstream all(result.out);
  for (std::string line; std::getline(all, line);)
    lines.push_back(Json::parse(line));
  return lines;
}

/// The tiny run's spec, in a folder of its own.
struct TinySpec {
  test::TempDir folder;
  std::string path = (folder / "tiny.json").string();
  TinySpec() { write_atomically(path, kTiny); }
};

}  // namespace

TEST_CASE("what is given beside x holds in every verb, and is refused where both disagree") {
  const auto run = tiny_run().string();
  const TinySpec spec;
  const std::string whole = R"({"x": [0,1,null,null,null,null,null,null,1]})";
  const std::string parts = R"({"x": [0,null,null,null,null,null,null,null,null],)"
                            R"( "given": [null,1,null,null,null,null,null,null,1]})";
  const std::string clash = R"({"x": {"2": 1}, "given": {"2": 0}})";
  for (const auto& verb : {fmt::format("conditionals '{}'", run),
                           fmt::format("sample '{}' --count 3 --given -", run)}) {
    CAPTURE(verb);
    const auto one = run_marginalia(verb, whole + "\n"), other = run_marginalia(verb, parts + "\n");
    REQUIRE_MESSAGE(one.code == 0, one.err);
    CHECK(one.out == other.out);
  }
  for (const auto& sample :
       read_lines(run_marginalia(fmt::format("sample '{}' --count 8 --given -", run),
                                 R"({"given": {"4": 1, "0": 0.0}})")))
    CHECK((sample.at("x")[4] == 1 && sample.at("x")[0] == 0));
  for (const auto& verb :
       {fmt::format("marginals '{}'", run), fmt::format("marginals '{}' --certify", run),
        fmt::format("conditionals '{}'", run), fmt::format("sample '{}' --count 1 --given -", run),
        fmt::format("exact '{}' --input -", spec.path)}) {
    CAPTURE(verb);
    const auto refused = run_marginalia(verb, clash + "\n");
    CHECK(refused.code == 2);
    CHECK(refused.out.empty());
    CHECK(has(refused.err, "stdin:1: \"x\" and \"given\" disagree on variable 2"));
  }
}

TEST_CASE("states are objects of the variables that are known, in every verb") {
  const auto run = tiny_run().string();
  const TinySpec spec;
  const std::string list = R"({"x": [null,null,null,1,null,null,null,0,null], )"
                           R"("given": [0,null,null,null,null,null,null,null,null]})";
  const std::string object = R"({"x": {"3": 1, "7": 0}, "given": {"0": 0}})";
  for (const auto& verb :
       {fmt::format("marginals '{}'", run), fmt::format("conditionals '{}'", run),
        fmt::format("exact '{}' --input -", spec.path)}) {
    CAPTURE(verb);
    CHECK(run_marginalia(verb, object + "\n").out == run_marginalia(verb, list + "\n").out);
  }
  const auto sample = read_lines(
      run_marginalia(fmt::format("sample '{}' --count 1 --given -", run), object + "\n"))[0];
  CHECK(sample.at("given").dump() == R"({"0":0,"3":1,"7":0})");
  CHECK(sample.at("x").size() == 9);
}

TEST_CASE("a list \"at\" names the variables that are asked about") {
  const auto run = tiny_run().string();
  const TinySpec spec;
  const std::string all = R"({"given": {"3": 1, "5": 0}})";
  const std::string some = R"({"given": {"3": 1, "5": 0}, "at": [7, 3], "id": 4})";
  const auto learned =
      read_lines(run_marginalia(fmt::format("conditionals '{}'", run), all + "\n" + some + "\n"));
  const auto& p = learned[1].at("probabilities");
  REQUIRE(p.size() == 2);
  CHECK(p[0][1].get<double>() ==
        doctest::Approx(learned[0].at("probabilities")[7][1].get<double>()));
  CHECK(p[1].is_null());  // it is given
  CHECK(learned[1].at("at").dump() == "[7,3]");
  CHECK(learned[1].at("id") == 4);
  // By the energy: p(x_7 = 1 | given) is the quotient of two marginals.
  const auto exact = read_lines(
      run_marginalia(fmt::format("exact '{}' --input -", spec.path),
                     some + "\n" + R"({"x": {"7": 1}, "given": {"3": 1, "5": 0}})" + "\n"));
  CHECK(exact[0].at("estimator") == "exact");
  CHECK(exact[0].at("probabilities")[0][1].get<double>() ==
        doctest::Approx(std::exp(exact[1].at("log_marginal").get<double>())));
  const auto sample = read_lines(
      run_marginalia(fmt::format("sample '{}' --count 1 --given -", run), some + "\n"))[0];
  CHECK(sample.at("x").size() == 2);
  CHECK(sample.at("x").contains("7"));
  CHECK(sample.at("x").at("3") == 1);
  CHECK_FALSE(sample.contains("text"));
}

TEST_CASE("keys that are nearly those of a question are asked about once, and passed through") {
  const auto run = tiny_run().string();
  const auto result = run_marginalia(fmt::format("conditionals '{}'", run),
                                     R"({"x": {"1": 1}, "gven": {"3": 1}, "id": 1})"
                                     "\n"
                                     R"({"x": {"1": 1}, "gven": {"3": 0}, "id": 2})"
                                     "\n");
  const auto lines = read_lines(result);
  CHECK(lines[0].at("gven").dump() == R"({"3":1})");
  CHECK(lines[1].at("id") == 2);
  CHECK(has(result.err, "stdin:1: \"gven\" is passed through; was \"given\" meant?"));
  CHECK_FALSE(has(result.err, "stdin:2"));
}

TEST_CASE("lines come from stdin where no file is named, and end in any way") {
  const auto run = tiny_run().string();
  const TinySpec spec;
  const std::string one = R"({"x": {"1": 1}})", two = R"({"x": {"2": 1}})", wrong = R"({"x": 3})";
  for (const std::string verb : {"marginals", "conditionals"}) {
    const auto named =
        run_marginalia(fmt::format("{} '{}' --input -", verb, run), one + "\n" + two + "\n");
    REQUIRE_MESSAGE(named.code == 0, named.err);
    CHECK(run_marginalia(fmt::format("{} '{}'", verb, run), one + "\n" + two + "\n").out ==
          named.out);
    CHECK(run_marginalia(fmt::format("{} '{}'", verb, run)).out.empty());
  }
  const auto ask = [&](const std::string& text) {
    return run_marginalia(fmt::format("exact '{}' --input -", spec.path), text);
  };
  const auto expected = ask(one + "\n" + two);
  REQUIRE_MESSAGE(expected.code == 0, expected.err);
  for (const std::string end : {"\n", "\r\n", "\r", "\n\n\r"})
    CHECK(ask(one + end + two + end).out == expected.out);
  for (const auto& text : {one + "\r" + two + "\r" + wrong, one + "\n\r" + wrong})
    CHECK(has(ask(text).err, "stdin:3: \"x\" must be"));
}

TEST_CASE("of columns with values of their own a run and its answers have each column's") {
  const test::TempDir folder;
  write_atomically(folder / "rows.csv", "0,4,2\n1,0,1\n1,1,0\n0,3,2\n1,2,1\n");
  write_atomically(folder / "spec.json", R"({"marginalia": 2, "seed": 1,
    "dataset": {"type": "table", "train": "rows.csv", "valid": "rows.csv", "test": "rows.csv"},
    "family": {"type": "chow_liu"}, "training": {"steps": 1},
    "evaluation": {"metrics": ["nll"], "samples": 4}})");
  const auto run = (folder / "run").string();
  const auto trained =
      run_marginalia(fmt::format("run '{}' --out '{}'", (folder / "spec.json").string(), run));
  REQUIRE_MESSAGE(trained.code == 0, trained.err);
  CHECK(Json::parse(read_text(folder / "run" / "run.json")).at("space").dump() ==
        R"({"dimension":3,"levels":5,"shape":[3],"alphabet":[],"cardinalities":[2,5,3]})");
  const auto asked =
      run_marginalia(fmt::format("conditionals '{}' --input -", run), R"({"x": [null, null, null]})"
                                                                      "\n");
  REQUIRE_MESSAGE(asked.code == 0, asked.err);
  const auto p = Json::parse(asked.out).at("probabilities");
  for (const auto& [i, K] : std::map<std::size_t, std::size_t>{{0, 2}, {1, 5}, {2, 3}}) {
    REQUIRE(p[i].size() == K);
    double sum = 0;
    for (const auto& value : p[i])
      sum += value.get<double>();
    CHECK(sum == doctest::Approx(1).epsilon(1e-9));
  }
  const auto drawn = run_marginalia(fmt::format("sample '{}' --count 300", run));
  REQUIRE_MESSAGE(drawn.code == 0, drawn.err);
  std::vector<std::int64_t> largest(3, 0);
  std::istringstream lines(drawn.out);
  for (std::string line; std::getline(lines, line);)
    for (std::size_t i = 0; i < 3; ++i)
      largest[i] = std::max(largest[i], Json::parse(line).at("x")[i].get<std::int64_t>());
  CHECK(largest == std::vector<std::int64_t>{1, 4, 2});
  const auto beyond =
      run_marginalia(fmt::format("conditionals '{}' --input -", run), R"({"x": [2, null, null]})"
                                                                      "\n");
  CHECK(beyond.code == 2);
  CHECK(has(beyond.err, "\"x\"[0] must be null or an integer from 0 to 1, not 2"));
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
  CHECK(run_marginalia(fmt::format("exact '{}' energy.side=+3. energy.coupling=.3", spec)).code ==
        0);
  const auto mistyped = run_marginalia(fmt::format("exact '{}' enrgy.side=4", spec));
  CHECK(mistyped.code == 2);
  CHECK(mistyped.out.empty());
  CHECK(has(mistyped.err, "\"enrgy\" is not a key of a spec; did you mean \"energy\"?"));
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
  refuse("[1, 2", "stdin:1: not JSON: column 1: the list that begins here is not closed");
  refuse("[1, 2]", "stdin:1: must be a JSON object");
  refuse(R"({"x": [0, NaN]})",
         "stdin:1: not JSON: column 11: NaN is no JSON; null stands for a value that is not known");
  refuse(R"({"x": [0], "x": [1]})", "stdin:1: \"x\" stands twice in one object");
  refuse(R"({"given": {"3": 1}})", "stdin:1: needs \"x\" or \"text\": what log p is of");
  refuse(R"({"x": {"9": 1}})", "stdin:1: \"x\": there is no variable 9: they are 0 to 8");
  refuse(R"({"x": {}, "at": [7]})", "stdin:1: a list \"at\" asks for probabilities of variables");
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
