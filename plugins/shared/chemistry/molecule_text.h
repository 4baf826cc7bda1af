/// \file
/// Molecules as people write them, read as states over the tokens of an alphabet.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/state_text.h>

#include "shared/selfies/selfies.h"

namespace marginalia::chemistry {

inline constexpr const char* kSelfiesGap = "[?]";

/// Whether nothing but "." and gaps stands outside of brackets.
inline bool is_in_brackets(std::string_view text, std::string_view gap) {
  for (bool inside = false; !text.empty();) {
    const bool is_gap = !gap.empty() && text.starts_with(gap);
    const char c = text.front();
    if (!is_gap && !inside && c != '[' && c != '.') return false;
    if (!is_gap) inside = c == '[' || (inside && c != ']');
    text.remove_prefix(is_gap ? gap.size() : 1);
  }
  return true;
}

/// The state of a molecule, or of a part of one, whose last level is padding.
///
/// Over tokens of SELFIES: a text in brackets is SELFIES, with [?] for one unknown token; any other
/// is a SMILES, which becomes SELFIES and can have no gaps. Over pieces of SMILES (no constraints):
/// SMILES, with ? for one unknown piece.
inline Tensor state_of_molecule(const StateSpace& space, PartialText given,
                                const selfies::Constraints* constraints) {
  const auto padding = space.levels() - 1;
  if (!constraints) return state_of_text(space, given, {.padding = padding});
  if (is_in_brackets(given.text, given.gap))
    return state_of_text(space, given, {.gap = kSelfiesGap, .padding = padding});
  const auto smiles = given.text;
  try {
    given.text = selfies::encode(smiles, *constraints);
  } catch (const selfies::Malformed& e) {
    throw SpecError(fmt::format("the SMILES {}: {}; a part of a molecule is given as SELFIES, with "
                                "[?] for an unknown token",
                                smiles, e.what()));
  }
  try {
    return state_of_text(space, given, {.gap = kSelfiesGap, .padding = padding});
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("the SMILES {} is {}: {}", smiles, given.text, e.what()));
  }
}

}  // namespace marginalia::chemistry
