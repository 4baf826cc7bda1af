// Which partial states have an allowed completion, against lists of all states.
#include "factors.h"

#include <cmath>
#include <random>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using torch::Tensor;

namespace {

/// log f alone of another energy, which counts how often it is asked.
class Opaque final : public Energy {
 public:
  explicit Opaque(std::shared_ptr<Energy> of) : of_(std::move(of)) {}
  const StateSpace& space() const override { return of_->space(); }
  mutable std::int64_t asked = 0;

 private:
  Tensor compute_log_density(const Tensor& x) const override {
    asked += x.size(0);
    return of_->log_density(x);
  }
  std::shared_ptr<Energy> of_;
};

/// Factors of two and three of five variables, `share` of their entries forbidden.
FactorModel partly_forbidden(int seed, double share) {
  FactorModel model{{2, 3, 2, 2, 3}, {}};
  std::mt19937_64 random{std::uint64_t(seed)};
  const auto uniform = [&] { return double(random() >> 11) * 0x1p-53; };
  for (const auto& scope :
       std::vector<std::vector<std::int64_t>>{{0, 1}, {2, 1, 3}, {3, 4}, {4, 0}}) {
    std::size_t entries = 1;
    for (const auto i : scope)
      entries *= std::size_t(model.cardinalities[std::size_t(i)]);
    auto& factor = model.factors.emplace_back(Factor{scope, {}});
    for (std::size_t n = 0; n < entries; ++n)
      factor.log_values.push_back(uniform() < share ? -INFINITY : 4 * uniform() - 2);
  }
  return model;
}

/// Every partial state of a space.
Tensor all_partial(const StateSpace& space) {
  auto wider = space;
  for (auto& k : wider.cardinalities)
    ++k;
  return all_states(wider) - 1;
}

Tensor agreeing(const Tensor& states, const Tensor& partial) {
  return states.index({(states == partial).logical_or(partial == kUnknown).all(1)});
}

/// Excludes and values of every partial state against the list of allowed states.
void check_against_list(const Energy& energy) {
  const Support support(energy);
  const auto all = all_states(energy.space());
  const auto allowed = all.index({energy.log_density(all).isfinite()});
  const auto questions = all_partial(energy.space());
  const auto excluded = support.excludes(questions);
  for (std::int64_t b = 0; b < questions.size(0); ++b) {
    const auto left = agreeing(allowed, questions[b]);
    REQUIRE(excluded[b].item<bool>() == (left.size(0) == 0));
    const auto seen = (left.unsqueeze(2) == torch::arange(energy.space().levels())).any(0);
    const auto values = support.values(questions[b]);
    REQUIRE(values.has_value());
    REQUIRE(values->equal(seen));
  }
}

}  // namespace

TEST_CASE("what factors exclude is what has no allowed completion, value by value") {
  for (int seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    check_against_list(test::Factored(partly_forbidden(seed, 0.1 * seed)));
  }
}

TEST_CASE("so of an energy that has log f alone, and of sums, tempers and constraints of both") {
  const auto factored = std::make_shared<test::Factored>(partly_forbidden(4, 0.4));
  check_against_list(Opaque(factored));
  const test::TextFile words("word,score\nAA,1\nAB,0\nBA,0\nBB,2\n");
  const auto landscape = fmt::format(R"({{"type": "landscape", "file": "{}", "word": "word",
      "score": "score", "power": 1}})",
                                     words.path.string());
  const std::string sets = R"({"type": "max_independent_set", "edges": ["1 2"]})";
  const auto wrapped = [](const std::string& of, const std::string& given) {
    return fmt::format(R"({{"type": "constrained", "energy": {}, "given": "{}"}})", of, given);
  };
  check_against_list(*test::make<Energy>(landscape));
  check_against_list(*test::make<Energy>(sets));
  check_against_list(*test::make<Energy>(wrapped(sets, "[null, 1]")));
  check_against_list(*test::make<Energy>(fmt::format(
      R"({{"type": "sum", "energies": [{}, {}], "weights": [2, 0.5]}})", sets, landscape)));
  check_against_list(*test::make<Energy>(
      fmt::format(R"({{"type": "tempered", "energy": {}, "inverse_temperature": 0}})", sets)));
}

TEST_CASE("constraints of one term tell of a sum whose other term has log f alone") {
  const test::TextFile model("MARKOV 20 " + [] {
    std::string text;
    for (int i = 0; i < 20; ++i)
      text += "2 ";
    return text + "1 2 0 19 4 0 1 1 1";
  }());
  const auto sum = test::make<Energy>(fmt::format(
      R"({{"type": "sum", "energies": [
          {{"type": "factor_graph", "file": "{}"}},
          {{"type": "command", "command": ["sh", "-c", "while read -r _; do echo 1; done"],
            "space": {{"variables": 20, "levels": 2}}}}]}})",
      model.path.string()));
  CHECK_FALSE(bool(sum->factors()));
  auto given = sum->space().empty().repeat({2, 1});  // 2^18 completions: too many to look at
  given[1][0] = 0;
  given[1][19] = 0;
  CHECK(Support(*sum).excludes(given).equal(torch::tensor({false, true})));
  CHECK_FALSE(Support(*sum).values(given[0]).has_value());
  CHECK(test::refusal([&] { Support(*sum).check_given(given); }) ==
        "what is given has probability zero");
}

TEST_CASE("components that are too wide to sum are told by what each factor supports") {
  // A 16 x 16 torus of three colours, no two neighbours alike: messages of 3^16 entries and more.
  constexpr std::int64_t side = 16;
  FactorModel model;
  model.cardinalities.assign(side * side, 3);
  const auto differ = [] {
    std::vector<double> table(9, 0);
    table[0] = table[4] = table[8] = -INFINITY;
    return table;
  }();
  for (std::int64_t r = 0; r < side; ++r)
    for (std::int64_t c = 0; c < side; ++c) {
      model.factors.push_back({{r * side + c, r * side + (c + 1) % side}, differ});
      model.factors.push_back({{r * side + c, (r + 1) % side * side + c}, differ});
    }
  const test::Factored energy(model, 0);
  const Support support(energy);
  CHECK_FALSE(support.is_empty());
  auto given = energy.space().empty().repeat({3, 1});
  given[1].index_put_({1}, 0);  // around the variable 17: three colours, none is left
  given[1].index_put_({16}, 1);
  given[1].index_put_({18}, 2);
  given[2].index_put_({1}, 0);
  given[2].index_put_({16}, 1);
  CHECK(support.excludes(given).equal(torch::tensor({false, true, false})));
  CHECK(support.values(given[2])->select(0, 17).equal(torch::tensor({false, false, true})));
}

TEST_CASE("an energy that has log f alone is asked no more than it takes") {
  const Opaque energy(test::make<Energy>(R"({"type": "ising", "side": 4})"));
  const Support support(energy);
  energy.asked = 0;
  const auto excluded = support.excludes(energy.space().empty().repeat({7, 1}));
  CHECK_FALSE(excluded.any().item<bool>());
  CHECK(energy.asked == 7);  // a completion each, which is allowed
}

TEST_CASE("an energy whose factors contradict each other forbids every state, which is refused") {
  const test::TextFile file("MARKOV 2 2 2 2 2 0 1 2 0 1 4 1 0 0 1 4 0 1 1 0");
  const auto spec = fmt::format(R"({{"type": "factor_graph", "file": "{}"}})", file.path.string());
  const auto energy = test::make<Energy>(spec);
  CHECK(Support(*energy).is_empty());
  CHECK_FALSE(Support(test::Factored(partly_forbidden(1, 0.1))).is_empty());
}
