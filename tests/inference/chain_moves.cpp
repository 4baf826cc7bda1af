// What is told of chains that do not move.
#include "factors.h"

#include <cmath>

#include <marginalia/inference/chain_moves.h>
#include <marginalia/inference/conditioning.h>

using namespace marginalia;
using torch::Tensor;

namespace {

constexpr double kForbidden = -INFINITY;

/// x0 = x1; x2 is 0; x3 likes 1 by `lean`.
test::Factored equal_pair(double lean) {
  return test::Factored(
      {{2, 2, 2, 2},
       {{{0, 1}, {0, kForbidden, kForbidden, 0}}, {{2}, {0, kForbidden}}, {{3}, {0, lean}}}});
}

ChainMoves after(const Energy& energy, const Tensor& states, const Tensor& moved, double sweeps) {
  ChainMoves moves;
  moves.add(moved, energy.log_density(states), sweeps);
  return moves;
}

}  // namespace

TEST_CASE("variables never moved that have two values, and no way from one to the other") {
  const auto energy = equal_pair(0);
  const Support support(energy);
  const auto nothing = energy.space().empty()[0];
  const auto states = torch::tensor({{0, 0, 0, 1}, {1, 1, 0, 0}});
  const auto still = torch::zeros({2, 4}, torch::kBool);
  const auto some = torch::tensor({{false, false, false, false}, {false, false, false, true}});
  using List = std::vector<std::int64_t>;
  // x3 could have moved at any time: that it did not is chance.
  CHECK(after(energy, states, still, 3).never_moved(support, states, nothing) == List{0, 1});
  CHECK(after(energy, states, some, 3).never_moved(support, states, nothing) == List{0, 1});
  auto held = nothing.clone();
  held[0] = 1;  // then x1 has one value
  CHECK(after(energy, states.slice(0, 1), still, 3)
            .never_moved(support, states.slice(0, 1), held)
            .empty());
  const auto all = torch::ones({2, 4}, torch::kBool);
  CHECK(after(energy, states, all, 3).never_moved(support, states, nothing).empty());
  CHECK(after(energy, states, all, 3).all());
}

TEST_CASE("a value that is very probable is not told, one that chains disagree on is") {
  const auto energy = equal_pair(12);  // p(x3 = 0) = 6e-6
  const Support support(energy);
  const auto nothing = energy.space().empty()[0];
  const auto moved = torch::tensor({{true, true, true, false}});
  const auto one = torch::tensor({{0, 0, 0, 1}});
  CHECK(after(energy, one, moved, 100).never_moved(support, one, nothing).empty());
  const auto apart = torch::tensor({{0, 0, 0, 1}, {0, 0, 0, 0}});
  CHECK(
      after(energy, apart, moved.repeat({2, 1}), 100).never_moved(support, apart, nothing).empty());
  const auto deep = equal_pair(40);  // p(x3 = 0) = 4e-18: no chain would ever come to it
  const Support of_deep(deep);
  const auto ones = torch::tensor({{0, 0, 0, 1}, {1, 1, 0, 1}});
  CHECK(after(deep, ones, moved.repeat({2, 1}), 100).never_moved(of_deep, ones, nothing) ==
        std::vector<std::int64_t>{3});
}

TEST_CASE("where nobody knows which values are allowed, chains that agree are not told, one is") {
  // Of 40 bits too many states are left to try them; the last is 0 with p = 4e-18.
  const std::vector<std::int64_t> bits(40, 2);
  const test::Unfactored energy(
      std::make_shared<test::Factored>(FactorModel{bits, {{{39}, {0, 40}}}}));
  const Support support(energy);
  const auto nothing = energy.space().empty()[0];
  REQUIRE(!support.values(nothing));
  const auto states = torch::ones({2, 40}, torch::kLong);
  auto moved = torch::ones({2, 40}, torch::kBool);
  moved.select(1, 39).fill_(false);
  CHECK(after(energy, states, moved, 100).never_moved(support, states, nothing).empty());
  const auto one = states.slice(0, 0, 1);
  CHECK(after(energy, one, moved.slice(0, 0, 1), 100).never_moved(support, one, nothing) ==
        std::vector<std::int64_t>{39});
}

TEST_CASE("a chain in a forbidden state has moved nothing, and is counted") {
  const auto energy = equal_pair(0);
  const Support support(energy);
  const auto states = torch::tensor({{0, 1, 0, 1}, {1, 0, 0, 0}});
  const auto moves = after(energy, states, torch::ones({2, 4}, torch::kBool), 10);
  const auto text = chains_text(moves, support, states, energy.space().empty()[0]);
  CHECK(text == never_moved_text({0, 1, 3}) + "; 2 of 2 chains never came to an allowed state");
}

TEST_CASE("variables that never moved are named, the first of many") {
  CHECK(never_moved_text({}).empty());
  CHECK(never_moved_text({3}).starts_with("variable 3 never moved: "));
  CHECK(never_moved_text({0, 2, 5}).starts_with("variables 0, 2 and 5 never moved: "));
  std::vector<std::int64_t> many(40);
  for (std::size_t i = 0; i < many.size(); ++i)
    many[i] = std::int64_t(i);
  CHECK(never_moved_text(many).starts_with(
      "variables 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 28 more never moved: "));
}
