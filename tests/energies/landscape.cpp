#include "marginalia_test.h"

#include <cmath>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "datasets/folder.h"
#include "energies.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;

namespace {

const std::string kTiny =
    R"("type": "landscape", "file": "landscape/tiny.tsv", "word": "1", "second_word": "2", )"
    R"("score": "E-score")";

std::shared_ptr<Energy> tiny(const std::string& more) {
  return test::make_energy(fmt::format("{{{}{}}}", kTiny, more), MARGINALIA_TEST_DATA);
}

/// The states of words.
torch::Tensor states(const std::vector<std::string>& words, const std::string& alphabet) {
  std::vector<std::int64_t> values;
  for (const auto& word : words)
    for (const auto letter : word)
      values.push_back(std::int64_t(alphabet.find(letter)));
  return torch::tensor(values).view({std::int64_t(words.size()), -1});
}

/// What is said of a file of this text; the file's folder is left out.
std::string landscape_refusal(const std::string& text, const std::string& more = "") {
  const test::Folder folder;
  folder.write("words.csv", text);
  auto said = test::refusal([&] {
    test::make_energy(fmt::format(R"({{"type": "landscape", "file": "words.csv"{}}})", more),
                      folder.path);
  });
  const std::string who = "energy landscape (plugin landscape): ", in = folder.path.string() + "/";
  if (said.starts_with(who)) said.erase(0, who.size());
  if (const auto at = said.find(in); at != said.npos) said.erase(at, in.size());
  return said;
}

}  // namespace

TEST_CASE("a landscape is the scores of its file, a word and its second word alike") {
  const auto energy = tiny("");
  CHECK((energy->space() == StateSpace{{4, 4}, {2}, {"A", "C", "G", "T"}}));
  const auto x = states({"AA", "TT", "AC", "GT", "CG", "TA"}, "ACGT");
  const auto scores = torch::tensor({0.125, 0.125, -0.25, -0.25, -0.125, -0.05}, torch::kDouble);
  CHECK(energy->log_density(x).equal(scores));
  CHECK(tiny(R"(, "inverse_temperature": -2)")->log_density(x).equal(-2 * scores));
  // from the worst, AT at -0.4, to the best, GA at 0.475
  const auto s = (scores + 0.4) / 0.875;
  const auto unit = tiny(R"(, "scaling": "unit", "inverse_temperature": 10)");
  CHECK(torch::allclose(unit->log_density(x), 10 * s, 1e-14, 1e-14));
  const auto cube = tiny(R"(, "scaling": "unit", "inverse_temperature": 2, "power": 3)");
  CHECK(torch::allclose(cube->log_density(x), 6 * s.log(), 1e-14, 1e-14));
  CHECK(cube->log_density(states({"AT"}, "ACGT")).item<double>() == -INFINITY);
  for (const auto& one : {unit, cube}) {
    CHECK(one->readable()->raw_score(x).equal(scores));
    CHECK(one->readable()->to_text(x[3]) == "GT");
  }
}

TEST_CASE("a landscape keeps the order of a given alphabet, and reads what is packed") {
  const std::string text = "word,n,score\r\nb,1,2.5\r\n\r\na,2,-1e-1\r\nc,3,0\r\n";
  const test::Folder folder;
  folder.write("plain.csv", text);
  folder.pack("packed.csv.gz", text);
  const auto x = torch::tensor({0, 1, 2}, torch::kLong).view({3, 1});
  for (const auto* file : {"plain.csv", "packed.csv", "packed.csv.gz"}) {
    CAPTURE(file);
    const auto spec = [&](const char* more) {
      return fmt::format(R"({{"type": "landscape", "file": "{}", "score": "score"{}}})", file,
                         more);
    };
    const auto sorted = test::make_energy(spec(""), folder.path);
    CHECK(sorted->log_density(x).equal(torch::tensor({-0.1, 2.5, 0.0}, torch::kDouble)));
    const auto given = test::make_energy(spec(R"(, "alphabet": "cab")"), folder.path);
    CHECK(given->log_density(x).equal(torch::tensor({0.0, -0.1, 2.5}, torch::kDouble)));
    CHECK(given->readable()->to_text(torch::tensor({2})) == "b");
  }
}

TEST_CASE("a landscape's local conditionals are those of its words, also of forbidden ones") {
  const auto energy = tiny(R"(, "scaling": "unit", "power": 3)");
  const auto& local = *energy->local();
  const auto x = all_states(energy->space());
  const auto logits = local.logits(x);  // [16, 2, 4]
  for (const std::int64_t i : {0, 1}) {
    std::vector<torch::Tensor> truth;
    for (const std::int64_t k : {0, 1, 2, 3})
      truth.push_back(energy->log_density(x.index_fill(1, torch::tensor({i}), k)));
    CHECK(logits.select(1, i).equal(torch::stack(truth, 1).to(torch::kFloat)));
  }
  CHECK((logits == -INFINITY).any().item<bool>());
  // "?T": the first letter's logits are the words ?T; of the second no factor is complete.
  const auto partial = torch::tensor({kUnknown, std::int64_t{3}}).unsqueeze(0);
  const auto open = local.logits(partial)[0];
  CHECK(open[0].equal(
      energy->log_density(states({"AT", "CT", "GT", "TT"}, "ACGT")).to(torch::kFloat)));
  CHECK(open[1].equal(torch::zeros({4})));
  CHECK(local.known_part(partial).item<double>() == 0);
  CHECK(local.colours().equal(torch::arange(2)));
}

TEST_CASE("landscapes of transcription factors have the sums of the reference" *
          doctest::test_suite("data/tf_binding")) {
  const auto data = test::real_data("tf_binding/exact.csv");
  if (data.empty()) return;
  std::ifstream table(data / "tf_binding/exact.csv");
  std::string line;
  std::getline(table, line);
  int compared = 0;
  for (; std::getline(table, line); ++compared) {
    const auto name = line.substr(0, line.find(','));
    CAPTURE(name);
    double low = 0, high = 0, log_z_exp = 0, log_z_cube = 0, mean = 0;
    REQUIRE(std::sscanf(line.c_str() + name.size(), ",65536,%lf,%lf,%lf,%lf,%lf", &low, &high,
                        &log_z_exp, &log_z_cube, &mean) == 5);
    const auto energy = [&](const std::string& more) {
      return test::make_energy(
          fmt::format(R"({{"type": "landscape", "file": "tf_binding/{}_8mers.tsv", )"
                      R"("word": "1", "second_word": "2", "score": "E-score", {}}})",
                      name, more),
          data);
    };
    const auto exponential = energy(R"("scaling": "unit", "inverse_temperature": 10)");
    const ExactAnswers exact(*exponential);
    CHECK(exact.oracle()->method() == "enumeration");
    CHECK(std::abs(exact.oracle()->log_z() - log_z_exp) < 2e-12);
    CHECK(std::abs(ExactAnswers(*energy(R"("scaling": "unit", "power": 3)")).oracle()->log_z() -
                   log_z_cube) < 2e-12);

    const auto x = all_states(exponential->space());
    const auto scores = exponential->readable()->raw_score(x);
    CHECK(scores.min().item<double>() == low);
    CHECK(scores.max().item<double>() == high);
    CHECK(std::abs(exponential->log_density(x).mean().item<double>() / 10 - mean) < 1e-11);
    CHECK(torch::equal(scores, exponential->readable()->raw_score(3 - x.flip(1))));  // both strands
  }
  CHECK(compared > 0);
}

TEST_CASE("a landscape refuses files that are no complete table") {
  CHECK(landscape_refusal("w,s\na,1\nb,x\n") ==
        R"(words.csv:3: the score is "x", which is not a finite number)");
  CHECK(landscape_refusal("w,s\na,1\nb,inf\n") ==
        R"(words.csv:3: the score is "inf", which is not a finite number)");
  CHECK(landscape_refusal("w,s\na,1\nb\n") == "words.csv:3: 1 columns, but the first line has 2");
  CHECK(landscape_refusal("w,s\nab,1\nb,2\n") ==
        R"(words.csv:3: the word "b" has 1 letters, but the first one has 2)");
  CHECK(landscape_refusal("w,s\n,1\n") ==
        "words.csv:2: the word is empty; it has one letter at least");
  CHECK(landscape_refusal("w,s\na,1\nb,2\na,1\n") ==
        R"(words.csv:4: the word "a" stands in line 2 too; give each once)");
  CHECK(landscape_refusal("w,s\nab,1\nba,2\nbb,3\n") ==
        R"(words.csv: has 3 of the 4 words of 2 letters ab; "aa" is missing; for what is to )"
        R"(be of such words, see "missing")");
  CHECK(landscape_refusal("w,s\naa,1\nab,2\nba,3\n") ==
        R"(words.csv: has 3 of the 4 words of 2 letters ab; "bb" is missing; for what is to )"
        R"(be of such words, see "missing")");
  CHECK(landscape_refusal("w,s\na,1\nc,2\n", R"(, "alphabet": "ab")") ==
        R"(words.csv:3: "c" of the word "c" is not a letter of the alphabet "ab")");
  CHECK(landscape_refusal("w,s\na,1\nb,2\n", R"(, "alphabet": "aba")") ==
        R"("alphabet" has "a" twice; give each letter once)");
  CHECK(landscape_refusal("w,s\n\xc3\xa4,1\n") ==
        "words.csv:2: the word \"\xc3\xa4\" has a character that is not printable ASCII");
  CHECK(
      landscape_refusal("w,s\n" + std::string(60, 'a') + ",1\n" + std::string(60, 'b') + ",1\n") ==
      "words.csv: has 2 of the 1.15e+18 words of 60 letters ab; it needs all");
  CHECK(landscape_refusal("w,s\n") == "words.csv: has no words; below a header, each line is one");
  CHECK(landscape_refusal("w,s\na,1\nb,2\n", R"(, "score": "t")") ==
        R"(words.csv:1: "score": there is no column "t"; there are w, s, or their numbers from 1 )"
        "to 2");
  CHECK(landscape_refusal("w\tw\ts\na\ta\t1\n", R"(, "word": "w")") ==
        R"(words.csv:1: "word": 2 columns are called "w"; give the column's number, from 1)");
}

TEST_CASE("a landscape refuses scores that its parameters cannot use") {
  const std::string negative = "w,s\na,1\nb,-0.5\n";
  CHECK(landscape_refusal(negative) == "accepted");
  CHECK(landscape_refusal(negative, R"(, "power": 2)") ==
        R"(words.csv:3: the score -0.5 has no logarithm, which "power" needs; take "scaling": )"
        R"("unit")");
  CHECK(landscape_refusal(negative, R"(, "power": 2, "scaling": "unit")") == "accepted");
  CHECK(
      landscape_refusal(negative, R"(, "power": 2, "scaling": "unit", "inverse_temperature": 0)") ==
      R"(with "power", "inverse_temperature" must be greater than 0)");
  CHECK(landscape_refusal("w,s\na,1\nb,1\n", R"(, "scaling": "unit")") ==
        R"(words.csv: every score is 1; "scaling": "unit" needs two different ones)");
  CHECK(test::refusal([] { test::make_energy(R"({"type": "landscape"})", {}); }) ==
        R"(energy landscape (plugin landscape): give "file": the table of words and scores)");
  CHECK(test::refusal(
            [] { test::make_energy(R"({"type": "landscape", "file": "/none.tsv"})", {}); }) ==
        "energy landscape (plugin landscape): /none.tsv: there is no such file, nor that with .gz "
        "or .zip; a file is looked for beside the spec, then in the data directory (--data, "
        "$MARGINALIA_DATA)");
}

TEST_CASE(
    "a landscape is read with any separator, quotes, ends of lines, and with or without header") {
  const test::Folder folder;
  const auto values = [&](const std::string& text, const std::string& more = "") {
    folder.write("words", text);
    const auto energy =
        test::make_energy(R"({"type": "landscape", "file": "words")" + more + "}", folder.path);
    return energy->log_density(all_states(energy->space()));
  };
  const auto expected = torch::tensor({1.0, 2.0, 0.5, -1.0}, torch::kDouble);
  for (const auto* text :
       {"word,score\nAA,1\nAB,2\nBA,.5\nBB,-1\n", "AA,1\nAB,2\nBA,.5\nBB,-1\n",
        "w;s\rAA;1\rAB;2\rBA;.5\rBB;-1", "# of a screen\nw s\nAA  1\nAB +2.0\nBA 5e-1\nBB -1\n",
        "\xef\xbb\xbf\"w, of two\",\"s\"\r\n\"AA\",1\r\n\"AB\",2\r\n\"BA\",.5\r\nBB,-1\r\n",
        "1,2\nAA,1\nAB,2\nBA,.5\nBB,-1\n", "w\ts\t\nAA\t1\t\nAB\t2\t\nBA\t.5\t\nBB\t-1\t\n"}) {
    CAPTURE(text);
    CHECK(values(text).equal(expected));
  }
  CHECK(values("2,word\n.5,B\n1,A\n", R"(, "score": "2", "word": "word")")
            .equal(torch::tensor({1.0, .5}, torch::kDouble)));
  CHECK(landscape_refusal("a,5\nb,2\n", R"(, "header": "yes", "alphabet": "ab")") ==
        R"(words.csv: has 1 of the 2 words of 1 letters ab; "a" is missing; for what is to be of )"
        R"(such words, see "missing")");
  CHECK(landscape_refusal("w,s\na,1\n", R"(, "header": "no")") ==
        R"(words.csv:1: the score is "s", which is not a finite number)");
  CHECK(landscape_refusal("a,1\nb,2\n", R"(, "header": "no", "word": "w")") ==
        R"(words.csv:1: "word": there is no column "w"; without a header they are 1 to 2)");
}

constexpr double kNever = -std::numeric_limits<double>::infinity();

TEST_CASE("words that a landscape does not have are forbidden, or have a score") {
  const test::Folder folder;
  folder.write("words", "w,s\nAA,1\nAB,2\nBB,-1\n");
  const auto make = [&](const std::string& more) {
    return test::make_energy(R"({"type": "landscape", "file": "words", )" + more + "}",
                             folder.path);
  };
  const auto x = torch::tensor({{0, 0}, {0, 1}, {1, 0}, {1, 1}}, torch::kLong);
  const auto forbidden = make(R"("missing": "forbid", "inverse_temperature": 2)");
  CHECK(forbidden->log_density(x).equal(torch::tensor({2., 4., kNever, -2.}, torch::kDouble)));
  const auto scored = make(R"("missing": "score", "missing_score": -3)");
  CHECK(scored->log_density(x).equal(torch::tensor({1., 2., -3., -1.}, torch::kDouble)));
  // "unit" looks at the words that are there: -1 is 0, 2 is 1.
  const auto unit = make(R"("missing": "score", "missing_score": -4, "scaling": "unit")");
  CHECK(unit->log_density(x).equal(torch::tensor({2. / 3, 1., -1., 0.}, torch::kDouble)));
  const auto power = make(R"("missing": "forbid", "scaling": "unit", "power": 2)");
  CHECK(power->log_density(x).slice(0, 2).equal(torch::tensor({kNever, kNever}, torch::kDouble)));
  CHECK(test::refusal([&] {
          make(R"("missing": "score", "missing_score": -2, "scaling": "unit", "power": 2)");
        })
            .ends_with("\"missing_score\" is -2, below -1, which \"power\" cannot use; take "
                       "\"missing\": \"forbid\""));
}
