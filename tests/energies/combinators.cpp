// sum, tempered and constrained: energies made of others.
#include "marginalia_test.h"

#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "energies.h"

#include <marginalia/inference/enumeration.h>

using namespace marginalia;

namespace {

const std::string kSmallTorus = R"({"type": "ising", "side": 3, "coupling": 0.4, "field": -0.2})";
const std::string kCut =
    R"({"type": "max_cut", "vertices": 9, "edges": ["1 2", "9 1 2", "5 6", "3 7 -1"]})";
const std::string kSet =
    R"({"type": "max_independent_set", "vertices": 9, "edges": ["1 2", "2 3", "8 9"]})";

std::shared_ptr<Energy> sum(const std::string& energies, const std::string& weights) {
  return test::make<Energy>(
      fmt::format(R"({{"type": "sum", "energies": [{}], "weights": {}}})", energies, weights));
}
std::shared_ptr<Energy> tempered(const std::string& energy, double b) {
  return test::make<Energy>(
      fmt::format(R"({{"type": "tempered", "energy": {}, "inverse_temperature": {}}})", energy, b));
}
std::shared_ptr<Energy> constrained(const std::string& energy, const std::string& given) {
  return test::make<Energy>(
      fmt::format(R"({{"type": "constrained", "energy": {}, "given": "{}"}})", energy, given));
}

/// The message, without the energy that says it.
std::string message_alone(const std::string& spec) {
  const auto said = test::refusal([&] { test::make<Energy>(spec); });
  const auto end = said.find("): ");
  return end == said.npos ? said : said.substr(end + 3);
}

bool agree(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::allclose(a.to(torch::kDouble), b.to(torch::kDouble), 1e-6, 1e-6);
}

}  // namespace

TEST_CASE("a sum is the weighted sum of its terms, whole and in part") {
  torch::manual_seed(1);
  const auto a = test::make<Energy>(kSmallTorus), b = test::make<Energy>(kCut);
  const auto energy = sum(kSmallTorus + "," + kCut, "[0.5, -2]");
  const auto x = all_states(energy->space());
  CHECK(agree(energy->log_density(x), 0.5 * a->log_density(x) - 2 * b->log_density(x)));
  const auto partial = test::random_partial(30, 9);
  CHECK(agree(energy->local()->logits(partial),
              0.5 * a->local()->logits(partial) - 2 * b->local()->logits(partial)));
  CHECK(agree(energy->local()->known_part(partial),
              0.5 * a->local()->known_part(partial) - 2 * b->local()->known_part(partial)));
  CHECK((energy->space() == a->space()));
  // 18 bonds of the torus; of the four edges 1-2 and 5-6 are among them, and 9-1 and 3-7 are not.
  CHECK(energy->pairwise()->edges.size(0) == 20);
  // No weights: all 1.
  CHECK(agree(sum(kSmallTorus + "," + kCut, "[]")->log_density(x),
              a->log_density(x) + b->log_density(x)));
}

TEST_CASE("variables of one colour of a sum share no factor of any term") {
  const auto energy = sum(kSmallTorus + "," + kCut, "[1, 1]");
  const auto& colours = energy->local()->colours();
  const auto& edges = energy->pairwise()->edges;
  for (std::int64_t e = 0; e < edges.size(0); ++e)
    CHECK(colours[edges[e][0]].item<std::int64_t>() != colours[edges[e][1]].item<std::int64_t>());
}

TEST_CASE("what a term of a sum forbids stays forbidden, whatever its weight") {
  const auto set = test::make<Energy>(kSet), ising = test::make<Energy>(kSmallTorus);
  const auto x = all_states(set->space());
  const auto forbidden = set->log_density(x) == -INFINITY;
  REQUIRE(forbidden.any().item<bool>());
  for (const auto* weight : {"2", "0", "-1"}) {
    const auto energy = sum(kSmallTorus + "," + kSet, fmt::format("[1, {}]", weight));
    const auto log_f = energy->log_density(x);
    CHECK((log_f == -INFINITY).equal(forbidden));
    const auto expected = ising->log_density(x) + std::stod(weight) * x.sum(1);
    CHECK(agree(log_f.masked_select(~forbidden), expected.masked_select(~forbidden)));
  }
}

TEST_CASE("a sum offers what every term offers, and says which does not") {
  const auto energy = sum(kSmallTorus + "," + kSet, "[1, 1]");
  CHECK(energy->local());
  CHECK(energy->pairwise().reason == "energy max_independent_set (plugin max_independent_set): " +
                                         test::make<Energy>(kSet)->pairwise().reason);
  const auto two = sum(kSmallTorus + "," + kCut, "[1, 1]");
  CHECK(two->exact()->method() == "variable elimination");
  CHECK(two->exact()->log_z() == doctest::Approx(EnumerationOracle(*two).log_z()).epsilon(1e-12));
  CHECK(sum(kSmallTorus, "[1]")->exact()->method() == "transfer matrix");
  // The text and the score of the one term that has some.
  const auto x = torch::zeros({1, 9}, torch::kLong);
  CHECK(sum(kSmallTorus + "," + kCut, "[1, 3]")->readable()->to_text(x[0]) == "cut 0: 000000000");
  // Of several terms with scores each keeps its own, and log f is the score.
  const auto all = sum(kSet + "," + kCut + "," + kCut, "[1, 3, 2]");
  const auto y = torch::tensor({{1, 0, 0, 1, 0, 0, 1, 0, 0}});  // a set of 3; a cut of 1 + 2 - 1
  std::string scores;
  for (const auto& score : all->readable()->scores(y))
    scores += fmt::format("{} {}, ", score.name, score.values.item<double>());
  CHECK(scores == "score 3, score_2 2, score_3 2, ");
  CHECK(all->readable()->raw_score(y).equal(all->log_density(y)));
  CHECK(all->readable()->to_text(y[0]) == test::make<Energy>(kSet)->readable()->to_text(y[0]));
  CHECK(sum(kSmallTorus, "[1]")->readable().reason == "none of its terms has a text of its own");
}

TEST_CASE("a sum of energies that do not fit is refused") {
  CHECK(message_alone(R"({"type": "sum"})") == R"(give "energies": a list of one at least)");
  CHECK(message_alone(fmt::format(R"({{"type": "sum", "energies": [{}], "weights": [1, 2]}})",
                                  kSmallTorus)) ==
        R"("weights" are 2 for 1 energies; give one for each, or none)");
  CHECK(
      message_alone(fmt::format(
          R"({{"type": "sum", "energies": [{}, {{"type": "ising", "side": 4}}]}})", kSmallTorus)) ==
      R"("energies"[1]: energy ising (plugin ising) has 16 variables of up to 2 levels, but )"
      R"("energies"[0] has 9 of up to 2; the levels of each variable must be the same)");
}

TEST_CASE("tempering an Ising model is scaling its coupling and field") {
  torch::manual_seed(2);
  const auto energy = tempered(kSmallTorus, 0.5);
  const auto other =
      test::make<Energy>(R"({"type": "ising", "side": 3, "coupling": 0.2, "field": -0.1})");
  const auto x = all_states(energy->space());
  CHECK(agree(energy->log_density(x), other->log_density(x)));
  const auto partial = test::random_partial(30, 9);
  CHECK(agree(energy->local()->logits(partial), other->local()->logits(partial)));
  CHECK(agree(energy->local()->known_part(partial), other->local()->known_part(partial)));
  CHECK(agree(energy->pairwise()->unary, other->pairwise()->unary));
  CHECK(agree(energy->pairwise()->pairs, other->pairwise()->pairs));
  CHECK(test::log_z(*energy) == doctest::Approx(other->exact()->log_z()));
  CHECK(energy->exact()->method() == "variable elimination");
  CHECK(energy->exact()->log_z() == doctest::Approx(other->exact()->log_z()).epsilon(1e-12));
  CHECK(tempered(kSmallTorus, 1)->exact()->method() == "transfer matrix");
}

TEST_CASE("tempering keeps forbidden states, texts and the score before a temperature") {
  const auto set = test::make<Energy>(kSet);
  const auto x = all_states(set->space());
  const auto allowed = set->log_density(x) > -INFINITY;
  for (const double b : {0.0, -1.0, 3.0}) {
    const auto energy = tempered(kSet, b);
    CHECK((energy->log_density(x) > -INFINITY).equal(allowed));
    CHECK(agree(energy->log_density(x).masked_select(allowed),
                b * set->log_density(x).masked_select(allowed)));
  }
  const auto energy = tempered(kSet, 3);
  CHECK(energy->readable()->raw_score(x).equal(set->readable()->raw_score(x)));
  CHECK(energy->readable()->to_text(x[1]) == "set of 1: 9");
  // An energy without texts: the space's, and log f as the score.
  const auto plain = tempered(kSmallTorus, 3);
  CHECK(plain->readable()->raw_score(x).equal(test::make<Energy>(kSmallTorus)->log_density(x)));
  CHECK(plain->readable()->to_text(x[1]) == "000/000/001");
  CHECK(message_alone(R"({"type": "tempered"})") == R"(give "energy": the one to be tempered)");
}

TEST_CASE("a constrained energy is the other where the values agree, and forbidden elsewhere") {
  const auto inner = test::make<Energy>(kSmallTorus);
  const auto energy = constrained(kSmallTorus, "[null, 1, null, null, null, null, 0, null, null]");
  const auto x = all_states(energy->space());
  const auto agrees = (x.select(1, 1) == 1).logical_and(x.select(1, 6) == 0);
  CHECK(energy->log_density(x).equal(inner->log_density(x).masked_fill(~agrees, -INFINITY)));
  CHECK((energy->space() == inner->space()));
}

TEST_CASE("a constrained energy's exact answers are the other's with the values filled in") {
  torch::manual_seed(3);
  const auto energy = constrained(kSmallTorus, "[null, 1, null, null, null, null, 0, null, null]");
  const auto& oracle = *energy->exact();
  CHECK(oracle.method() == "transfer matrix, clamped");
  const EnumerationOracle enumeration(*energy);
  const auto partial = test::random_partial(60, 9);
  const auto expected = enumeration.log_sum(partial);
  CHECK((expected == -INFINITY).any().item<bool>());
  CHECK(torch::allclose(oracle.log_sum(partial), expected, 1e-12, 1e-12));
  CHECK(oracle.log_z() == doctest::Approx(enumeration.log_z()));
  CHECK(agree(oracle.single_marginals(energy->space().empty()[0]),
              enumeration.single_marginals(energy->space().empty()[0])));

  Stream stream(4, "samples");
  const auto samples = oracle.sample(energy->space().empty().expand({4000, 9}), stream);
  CHECK((energy->log_density(samples) > -INFINITY).all().item<bool>());
  const auto mean = samples.to(torch::kDouble).mean(0);
  const auto p = oracle.single_marginals(energy->space().empty()[0]).select(1, 1);
  CHECK(((mean - p).abs() < 5 * 0.5 / std::sqrt(4000)).all().item<bool>());
  CHECK(test::refusal([&] {
          oracle.sample(torch::zeros({1, 9}, torch::kLong), stream);
        }) == "a state to complete disagrees with what the energy's \"given\" holds fixed");
}

TEST_CASE("where energies have factors, so do those made of them, and exact answers") {
  torch::manual_seed(6);
  const auto hot =
      fmt::format(R"({{"type": "tempered", "energy": {}, "inverse_temperature": 2}})", kCut);
  const auto both = fmt::format(
      R"({{"type": "sum", "energies": [{}, {}, {}], "weights": [0.5, 2, -1]}})", hot, kSet, kCut);
  const auto held = fmt::format(R"({{"type": "constrained", "energy": {}, )"
                                R"("given": "[0, 1, null, null, null, null, null, null, null]"}})",
                                both);
  for (const auto& [spec, method] : {std::pair{hot, "variable elimination"},
                                     {both, "variable elimination"},
                                     {held, "variable elimination, clamped"}}) {
    CAPTURE(spec);
    const auto energy = test::make<Energy>(spec);
    const auto& oracle = *energy->exact();
    CHECK(oracle.method() == method);
    const EnumerationOracle counted(*energy);
    const auto partial = test::random_partial(60, 9);
    const auto expected = counted.log_sum(partial);
    CHECK(torch::allclose(oracle.log_sum(partial), expected, 1e-12, 1e-12));
    const auto none = energy->space().empty()[0];
    CHECK(agree(oracle.single_marginals(none), counted.single_marginals(none)));
    // The factors add up to log f.
    const auto x = all_states(energy->space());
    auto sum = torch::zeros({x.size(0)}, torch::kDouble);
    for (const auto& [scope, values] : energy->factors()->factors) {
      auto index = torch::zeros({x.size(0)}, torch::kLong);
      for (const auto i : scope)
        index = 2 * index + x.select(1, i);
      sum += torch::tensor(values, torch::kDouble).index_select(0, index);
    }
    CHECK(torch::allclose(sum, energy->log_density(x), 1e-12, 1e-12));
  }
}

TEST_CASE("what is held may leave a graph narrow that was not") {
  // All pairs of 60 vertices, of which all but 6 are held at 1.
  std::vector<std::string> edges, given(60, "1");
  for (int i = 1; i <= 60; ++i)
    for (int j = 1; j < i; ++j)
      edges.push_back(fmt::format(R"("{} {} 0.1")", i, j));
  for (const int i : {3, 10, 11, 30, 59, 42})
    given[std::size_t(i)] = "null";
  const auto cuts = fmt::format(R"({{"type": "max_cut", "edges": [{}]}})", fmt::join(edges, ", "));
  REQUIRE_FALSE(test::make<Energy>(cuts)->exact());
  const auto energy = constrained(cuts, fmt::format("[{}]", fmt::join(given, ", ")));
  CHECK(energy->exact()->method() == "variable elimination");
  double sum = 0;  // n of the 6 on the other side: n (60 - n) edges in the cut
  for (const auto& [n, ways] : {std::pair{0, 1}, {1, 6}, {2, 15}, {3, 20}, {4, 15}, {5, 6}, {6, 1}})
    sum += ways * std::exp(0.1 * n * (60 - n));
  CHECK(energy->exact()->log_z() == doctest::Approx(std::log(sum)).epsilon(1e-12));
}

TEST_CASE("of held variables, local conditionals forbid other values; the rest sees them") {
  torch::manual_seed(5);
  const auto inner = test::make<Energy>(kSmallTorus);
  const auto energy = constrained(kSmallTorus, "[null, 1, null, null, null, null, 0, null, null]");
  const auto& local = *energy->local();
  const auto partial = test::random_partial(40, 9);
  auto filled = partial.clone();
  filled.select(1, 1).fill_(1);
  filled.select(1, 6).fill_(0);
  auto expected = inner->local()->logits(filled);
  expected.select(1, 1).copy_(torch::tensor({-INFINITY, 0.0F}).expand({40, 2}));
  expected.select(1, 6).copy_(torch::tensor({0.0F, -INFINITY}).expand({40, 2}));
  CHECK(local.logits(partial).equal(expected));
  const auto clash = (partial.select(1, 1) == 0).logical_or(partial.select(1, 6) == 1);
  CHECK(local.known_part(partial).equal(
      inner->local()->known_part(filled).masked_fill(clash, -INFINITY)));
  // On full states that agree, what a variable gains is what log f gains.
  const auto x = torch::where(filled == kUnknown, 0, filled);
  const auto logits = local.logits(x);
  for (std::int64_t i = 0; i < 9; ++i) {
    const auto at = [&](std::int64_t k) {
      return energy->log_density(x.index_fill(1, torch::tensor({i}), k));
    };
    const auto truth = torch::stack({at(0), at(1)}, 1).softmax(1);
    CHECK(agree(logits.select(1, i).softmax(1), truth));
  }
  CHECK(energy->pairwise().reason == "other values are forbidden, which no finite factor says");
}

TEST_CASE("held values are read from a line of the form that sample --given takes") {
  const test::TextFile file("{\"x\": [0, null, 1, null, null, null, null, null, null]}\n");
  const auto from_file = test::make<Energy>(fmt::format(
      R"({{"type": "constrained", "energy": {}, "file": "{}"}})", kSmallTorus, file.path.string()));
  const auto from_text =
      constrained(kSmallTorus, "[0, null, 1, null, null, null, null, null, null]");
  const auto x = all_states(from_file->space());
  CHECK(from_file->log_density(x).equal(from_text->log_density(x)));
  // As in such a line, "given" stands beside "x" or alone, and variables may be named.
  for (const auto* line :
       {R"({"x": {"0": 0}, "given": {"2": 1}})", R"({"given": {"0": 0, "2": 1}})",
        R"({"given": [0, null, 1.0, null, null, null, null, null, null]})",
        R"({"text": "0", "at": 0, "given": {"2": 1}, "id": 7})"}) {
    CAPTURE(line);
    const test::TextFile other(line);
    const auto energy =
        test::make<Energy>(fmt::format(R"({{"type": "constrained", "energy": {}, "file": "{}"}})",
                                       kSmallTorus, other.path.string()));
    CHECK(energy->log_density(x).equal(from_text->log_density(x)));
  }
}

TEST_CASE("a file of held values that is wrong is refused with its place") {
  const auto refused = [](const std::string& text) {
    const test::TextFile file(text);
    const auto why =
        message_alone(fmt::format(R"({{"type": "constrained", "energy": {}, "file": "{}"}})",
                                  kSmallTorus, file.path.string()));
    REQUIRE(why.starts_with(file.path.string() + ": "));
    return why.substr(file.path.string().size() + 2);
  };
  CHECK(refused("{\"x\":\n [0, NaN]}") == "not JSON: line 2, column 6: NaN is no JSON; null stands "
                                          "for a value that is not known");
  CHECK(refused(R"({"x": {"1": 0}, "given": {"1": 1}})") ==
        "\"x\" and \"given\" disagree on variable 1");
  CHECK(refused(R"({"x": {}, "at": [1]})") ==
        "a list \"at\" asks about variables, and here they are held");
}

TEST_CASE("values that cannot be held are refused") {
  const std::string cube = R"({"type": "ising", "sides": [3]})";
  const auto given = [&](const std::string& text) {
    return message_alone(
        fmt::format(R"({{"type": "constrained", "energy": {}, "given": "{}"}})", cube, text));
  };
  CHECK(given("[0, null, 1]") == "accepted");
  CHECK(given("[0, null]") == R"("given" has 2 values, the model has 3 variables)");
  CHECK(given("0 1 ?") ==
        "\"given\": not JSON: column 3: the JSON ends before this, and more follows");
  CHECK(given("[0, NaN, 1]") == "\"given\": not JSON: column 5: NaN is no JSON; null stands for a "
                                "value that is not known");
  CHECK(given("[0.0, null, 1e0]") == "accepted");
  CHECK(given(R"({\"2\": 1})") == "accepted");
  CHECK(given(R"({\"3\": 1})") == "\"given\": there is no variable 3: they are 0 to 2");
  CHECK(given("[0, 2, 1]") == R"("given"[1] must be null or an integer from 0 to 1, not 2)");
  CHECK(given("[0, 1, -1]") == R"("given"[2] must be null or an integer from 0 to 1, not -1)");
  CHECK(given("[0, 0.5, 1]") == R"("given"[1] must be null or an integer from 0 to 1, not 0.5)");
  CHECK(message_alone(fmt::format(R"({{"type": "constrained", "energy": {}}})", cube)) ==
        R"(give "given" or "file": the values of the variables that are held)");
  CHECK(message_alone(R"({"type": "constrained", "given": "[]"})") ==
        R"(give "energy": the one to be constrained)");
  const test::TextFile file("[0, 1, null]\n");
  CHECK(message_alone(fmt::format(R"({{"type": "constrained", "energy": {}, "file": "{}"}})", cube,
                                  file.path.string())) ==
        file.path.string() + R"(: must be one JSON object such as {"x": [0, 1, null]})");
}
