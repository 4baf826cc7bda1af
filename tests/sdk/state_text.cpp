// States as people write them: whole, in part, and what is refused.
#include "marginalia_test.h"

#include <marginalia/inference/enumeration.h>
#include <marginalia/partial_state.h>
#include <marginalia/state_text.h>

using namespace marginalia;
using torch::Tensor;

namespace {

StateSpace spelt(std::int64_t D, std::vector<std::string> alphabet) {
  auto space = StateSpace::uniform(D, std::int64_t(alphabet.size()));
  space.alphabet = std::move(alphabet);
  return space;
}
Tensor levels(const std::vector<std::int64_t>& values) {
  return torch::tensor(values, torch::kLong);
}
std::string refused(const StateSpace& space, const PartialText& text,
                    const Spelling& spelling = {}) {
  return test::refusal([&] { state_of_text(space, text, spelling); });
}

}  // namespace

TEST_CASE("a text is spelt by the longest letters, and at a place leaves the rest unknown") {
  const auto space = spelt(5, {"C", "Cl", "l", "(", "\u00e4"});
  CHECK(state_of_text(space, {"ClCl(C"}, {.padding = 3}).equal(levels({1, 1, 3, 0, 3})));
  CHECK(state_of_text(space, {"C?l\u00e4?"}).equal(levels({0, -1, 2, 4, -1})));
  CHECK(state_of_text(space, {"Cll", 2}, {.padding = 3}).equal(levels({-1, -1, 1, 2, -1})));
  CHECK(state_of_text(space, {"", 0}).equal(levels({-1, -1, -1, -1, -1})));
  CHECK(state_of_text(space, {"C__(\u00e4", {}, "_"}).equal(levels({0, -1, -1, 3, 4})));
  CHECK(
      state_of_text(space, {"C[?]"}, {.gap = "[?]", .padding = 4}).equal(levels({0, -1, 4, 4, 4})));
}

TEST_CASE("every partial state of a small space reads as it is written") {
  for (const auto& space : {StateSpace::uniform(4, 2, {2, 2}), StateSpace{{2, 3, 1}, {3}},
                            spelt(3, {"a", "ab", "c"}), StateSpace{{12, 2}, {1, 2}}}) {
    StateSpace with_gap = space;  // level K_i stands for unknown
    for (auto& k : with_gap.cardinalities)
      ++k;
    const auto all = all_states(with_gap);
    const auto unknown = torch::tensor(space.cardinalities, torch::kLong);
    for (const auto& state : torch::where(all == unknown, kUnknown, all).unbind()) {
      const auto text = space.to_text(state);
      CAPTURE(text);
      CHECK(state_of_text(space, {text}).equal(state));
    }
  }
}

TEST_CASE("a text that spells no state is refused at its character") {
  const auto space = spelt(4, {"[C]", "[=O]", "[nop]"});
  const Spelling tokens{.gap = "[?]", .padding = 2};
  CHECK(refused(space, {"[C][?][Si][C]"}, tokens) ==
        "character 7: \"[Si]\" is not a letter; there is: [=O] [?] [C] [nop]");
  CHECK(refused(space, {"[C][=O"}, tokens) ==
        "character 4: the bracket that opens here is not closed");
  CHECK(refused(space, {"[C]?"}, tokens) ==
        "character 4: \"?\" is not a letter; there is: [=O] [?] [C] [nop]");
  CHECK(refused(space, {"[C][C][C][C][C]"}, tokens) == "the text spells 5 variables; there are 4");
  CHECK(refused(space, {"[C][C]", 3}, tokens) ==
        "the text spells 2 variables, which from \"at\": 3 on go beyond the 4 that there are");
  CHECK(refused(space, {"[C]", 4}, tokens) == "\"at\" must be 0 to 3, not 4");
  CHECK(refused(space, {"[C]", -1}, tokens) == "\"at\" must be 0 to 3, not -1");
  CHECK(refused(space, {"[C]"}) ==
        "the text spells 1 of 4 variables; \"at\": 0 leaves the others unknown");
  CHECK(refused(spelt(2, {"\u00e4", "b"}), {"\u00e4\u00f6"}) ==
        "character 2: \"\u00f6\" is not a letter; there is: ? b \u00e4");
  CHECK(refused(StateSpace{{3, 2}, {2}}, {"12"}) ==
        "character 2: variable 1 has the values 0 to 1, not 2");
  std::vector<std::string> many;
  for (char c = 'A'; c <= 'z'; ++c)
    many.emplace_back(1, c);
  CHECK(refused(spelt(1, many), {"~"}).ends_with(" d e f g ..."));
}

TEST_CASE("where the gap is a letter itself, another must be named") {
  const auto space = spelt(2, {"?", "a", "_"});
  CHECK(refused(space, {"a?"}) ==
        "character 2: \"?\" is a letter of this alphabet; name what stands for an unknown one, as "
        "\"gap\": \"_\", and it is read as that letter");
  CHECK(refused(space, {"a?", {}, "_"}) ==
        "\"gap\": \"_\" is a letter of the alphabet; take another");
  CHECK(state_of_text(space, {"*?", {}, "*"}).equal(levels({-1, 0})));
}

TEST_CASE("a state in JSON is a list, a text, or a text at a place") {
  const auto space = StateSpace::uniform(4, 2);
  const auto read = [&](const std::string& json, const TextReader& reader = {}) {
    return partial_state(Json::parse(json), space, "here", reader);
  };
  const auto refusal = [&](const std::string& json) { return test::refusal([&] { read(json); }); };
  CHECK(read("[0, null, 1, 1]").equal(levels({0, -1, 1, 1})));
  CHECK(read(R"("0?11")").equal(levels({0, -1, 1, 1})));
  CHECK(read(R"({"text": "0*", "at": 1, "gap": "*"})").equal(levels({-1, 0, -1, -1})));
  CHECK(read(R"("anything")", [](const PartialText& text) {
          return torch::full({4}, text.text == "anything" ? 1 : 0, torch::kLong);
        }).equal(levels({1, 1, 1, 1})));
  CHECK(read("[0.0, null, 1e0, 1]").equal(levels({0, -1, 1, 1})));
  CHECK(refusal("[0.5, null, 1, 1]") == "here[0] must be null or an integer from 0 to 1, not 0.5");
  CHECK(refusal("3") ==
        "here must be a list of 4 values or nulls, an object of variables and values, or a text");
  CHECK(refusal(R"({"at": 1})") == "here: needs \"text\"");
  CHECK(refusal(R"({"text": 1})") == "here: \"text\" must be a string, not 1");
  CHECK(refusal(R"({"text": "0", "at": 0.5})") ==
        "here: \"at\" must be the number of a variable, from 0, not 0.5");
  CHECK(read(R"({"text": "0", "at": 2.0})").equal(levels({-1, -1, 0, -1})));
  CHECK(refusal(R"({"text": "0", "att": 1})") ==
        "here: \"att\" is not a key of a text; there is: text, at, gap");
  CHECK(refusal(R"("0012")") == "here: character 4: \"2\" is not a letter; there is: 0 1 ?");
}

TEST_CASE("a state in JSON may be an object of the variables that are known") {
  StateSpace space{{2, 3, 2, 2}, {4}};
  const auto read = [&](const std::string& json) {
    return partial_state(Json::parse(json), space, "here");
  };
  const auto refusal = [&](const std::string& json) { return test::refusal([&] { read(json); }); };
  CHECK(read(R"({"3": 1, "1": 2.0})").equal(levels({-1, 2, -1, 1})));
  CHECK(read(R"({"0": null, "1": 0})").equal(levels({-1, 0, -1, -1})));
  CHECK(read("{}").equal(levels({-1, -1, -1, -1})));
  CHECK(refusal(R"({"4": 1})") == "here: there is no variable 4: they are 0 to 3");
  CHECK(refusal(R"({"-1": 1})") == "here: there is no variable -1: they are 0 to 3");
  CHECK(refusal(R"({"1": 3})") == "here: \"1\" must be null or an integer from 0 to 2, not 3");
  CHECK(refusal(R"({"1": 0, "01": 2})") == "here: \"01\" names variable 1 again");
  CHECK(refusal(R"({"txt": "01"})") == "here: \"txt\" is no variable; did you mean \"text\"?; "
                                       "they are named by their numbers, 0 to 3");
  CHECK(refusal(R"({"weight": 1})") ==
        "here: \"weight\" is no variable; they are named by their numbers, 0 to 3");

  space.names = {"age", "diet", "1", "smokes"};
  CHECK(read(R"({"smokes": 1, "diet": 2})").equal(levels({-1, 2, -1, 1})));
  CHECK(read(R"({"1": 2})").equal(levels({-1, 2, -1, -1})));  // a number is a number first
  CHECK(refusal(R"({"diett": 1})") == "here: \"diett\" is no variable; did you mean \"diet\"?; "
                                      "they are named by their numbers, 0 to 3, or by their names");
  space.names[3] = "diet";
  CHECK(refusal(R"({"diet": 1})") ==
        "here: several variables are called \"diet\"; name one by its number");
  space.names[3] = "smokes";
  CHECK(refusal(R"({"diet": 1, "1": 1})") == "here: \"1\" names variable 1 again");
}

TEST_CASE("a line asks of a state, of what is given, and of single variables") {
  const auto space = StateSpace::uniform(3, 2);
  const auto ask = [&](const std::string& json) {
    return question_of_line(Json::parse(json), space, "stdin:7");
  };
  const auto refusal = [&](const std::string& json) { return test::refusal([&] { ask(json); }); };
  const auto both = ask(R"({"x": [0, null, null], "given": {"2": 1}})");
  CHECK(both.known.equal(levels({0, -1, 1})));
  CHECK(both.given.equal(levels({-1, -1, 1})));
  CHECK(both.names_state);
  CHECK(both.by_variable);
  CHECK_FALSE(both.at);
  const auto alone = ask(R"({"given": "?1?", "at": [2, 0.0]})");
  CHECK(alone.known.equal(levels({-1, 1, -1})));
  CHECK_FALSE(alone.names_state);
  CHECK_FALSE(alone.by_variable);
  CHECK(*alone.at == std::vector<std::int64_t>{2, 0});
  const auto text = ask(R"({"text": "01?", "at": [2], "given": null})");
  CHECK(text.known.equal(levels({0, 1, -1})));
  CHECK_FALSE(text.given.defined());
  CHECK(*text.at == std::vector<std::int64_t>{2});
  CHECK(refusal(R"({"x": {"1": 0}, "given": [null, 1, null]})") ==
        "stdin:7: \"x\" and \"given\" disagree on variable 1");
  CHECK(refusal(R"({"x": [0, 1, 1], "at": 1})") ==
        "stdin:7: \"at\": 1 says where \"text\" begins; a list, as \"at\": [1], asks about "
        "variables");
  CHECK(refusal(R"({"x": [0, 1, 1], "gap": "_"})") ==
        "stdin:7: \"gap\" is for \"text\", and there is none");
  CHECK(refusal(R"({"x": {}, "at": [3]})") ==
        "stdin:7: \"at\": there is no variable 3: they are 0 to 2");
  CHECK(refusal(R"({"x": {}, "at": [0.5]})") ==
        "stdin:7: \"at\" must be a list of variables, by number or name, not [0.5]");
}

TEST_CASE("keys that are nearly those of a line are asked about, others are not") {
  const auto meant = [](const std::string& key) {
    const auto doubts = doubtful_keys(Json{{key, 1}});
    if (doubts.empty()) return std::string();
    REQUIRE(doubts.size() == 1);
    const auto begin = doubts[0].find("was \"") + 5;
    CHECK(doubts[0].starts_with("\"" + key + "\" is passed through; was \""));
    return doubts[0].substr(begin, doubts[0].find('"', begin) - begin);
  };
  for (const auto* key : {"gven", "givn", "Given", "givens", "given ", "gievn"})
    CHECK(meant(key) == "given");
  for (const auto* key : {"X", "xx", " x"})
    CHECK(meant(key) == "x");
  for (const auto* key : {"txt", "Text", "texts", "tetx"})
    CHECK(meant(key) == "text");
  for (const auto* key : {"AT", "att", "ta"})
    CHECK(meant(key) == "at");
  CHECK(meant("gaps") == "gap");
  for (const auto* key : {"id", "y", "name", "label", "a", "it", "n", "cat", "index", "log_prob",
                          "split", "row", "weight", "x1", "tag", "x", "given"})
    CHECK(meant(key).empty());
}

TEST_CASE("a line of input names a state by x, or by text") {
  const auto space = StateSpace::uniform(2, 2);
  const auto read = [&](const std::string& json) {
    return question_of_line(Json::parse(json), space, "stdin:7").known;
  };
  CHECK(read(R"({"x": [0, null], "text": "of no account"})").equal(levels({0, -1})));
  CHECK(read(R"({"x": "?1"})").equal(levels({-1, 1})));
  CHECK(read(R"({"text": "1", "at": 1, "id": 3})").equal(levels({-1, 1})));
  CHECK(
      test::refusal([&] { read(R"({"y": 1})"); }) ==
      "stdin:7: needs \"x\": a list of 2 values or nulls, or an object of variables and values; or "
      "\"text\"");
  CHECK(test::refusal([&] { read(R"({"text": "13"})"); }) ==
        "stdin:7: character 2: \"3\" is not a letter; there is: 0 1 ?");
}

TEST_CASE("a state that does not fit is refused with its variable and the values that has") {
  const StateSpace space{{2, 1, 3}, {3}};
  const auto refused = [&](std::vector<std::int64_t> x, bool partial) {
    return test::refusal([&] { space.check(levels(x).view({1, 3}), partial, "x"); });
  };
  CHECK(refused({1, 0, 2}, false) == "accepted");
  CHECK(refused({1, -1, 2}, true) == "accepted");
  CHECK(refused({1, 1, 2}, false) == "x: variable 1 must be 0 to 0, not 1");
  CHECK(refused({1, -1, 2}, false) == "x: variable 1 must be 0 to 0, not -1");
  CHECK(refused({1, 0, 3}, true) == "x: variable 2 must be 0 to 2 or -1 for unknown, not 3");
}
