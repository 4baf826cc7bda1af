#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/params.h>
#include <marginalia/state_space.h>

namespace marginalia {

/// The section "space" of an energy whose file or program does not say which states it scores.
struct DeclaredSpace {
  std::int64_t variables = 0, levels = 0;
  std::vector<std::int64_t> cardinalities, shape;
  std::vector<std::string> alphabet;

  void visit(ParamVisitor& p) {
    p("variables", variables, {.doc = "D, variables of a state", .min = 0});
    p("levels", levels, {.doc = "K, values of each variable: 0 to K - 1", .min = 0});
    p("cardinalities", cardinalities,
      {.doc = "K_i, values of each variable, in place of both: [2, 2, 5]", .min = 1});
    p("shape", shape, {.doc = "how states are shown, of product D: [4, 4]; else [D]", .min = 1});
    p("alphabet", alphabet, {.doc = "how values are shown, K texts; else digits"});
  }

  /// Throws SpecError where what is given is no space.
  StateSpace build() const;
};

inline StateSpace DeclaredSpace::build() const {
  constexpr std::int64_t kMaxVariables = 1 << 24;
  const bool uniform = variables > 0 || levels > 0;
  if (uniform == !cardinalities.empty() || (uniform && (variables == 0 || levels == 0)))
    throw SpecError(
        "\"space\" takes \"variables\" and \"levels\", as {\"variables\": 12, \"levels\": 2}, or "
        "\"cardinalities\", as {\"cardinalities\": [2, 2, 5]}");
  if (variables > kMaxVariables)
    throw SpecError(fmt::format("\"space\": {} variables are too many; take at most {}", variables,
                                kMaxVariables));
  auto space = uniform ? StateSpace::uniform(variables, levels)
                       : StateSpace{cardinalities, {std::int64_t(cardinalities.size())}};
  if (!shape.empty()) {
    double product = 1;
    for (const auto side : shape)
      product *= double(side);
    if (product != double(space.dimension()))
      throw SpecError(fmt::format("\"space\": the product of \"shape\" is {}, but there are {} "
                                  "variables",
                                  product, space.dimension()));
    space.shape = shape;
  }
  if (!alphabet.empty() && std::int64_t(alphabet.size()) != space.levels())
    throw SpecError(fmt::format("\"space\": \"alphabet\" has {} texts, but there are {} levels",
                                alphabet.size(), space.levels()));
  space.alphabet = alphabet;
  return space;
}

}  // namespace marginalia
