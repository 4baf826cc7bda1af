/// \file
/// Molecules as people write them, read as states over the tokens of an alphabet.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/state_text.h>
#include <marginalia/text_file.h>

#include "shared/selfies/selfies.h"

namespace marginalia::chemistry {

inline constexpr const char* kSelfiesGap = "[?]";

/// The SELFIES that texts are read as.
struct SelfiesSpelling {
  const selfies::Constraints& constraints;
  bool compatible = false;  ///< tokens of version 1 are read too
};

/// What stands in the brackets of a text.
struct Brackets {
  bool hold_all = true;                       ///< all but "." and gaps
  std::size_t open = std::string_view::npos;  ///< of the last one, where "]" never closes it
};

inline Brackets find_brackets(std::string_view text, std::string_view gap) {
  Brackets found;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const bool is_gap = !gap.empty() && text.substr(at).starts_with(gap);
    const char c = text[at];
    if (!is_gap && !inside && c != '[' && c != '.') found.hold_all = false;
    if (!is_gap && !inside && c == '[') found.open = at;
    if (!is_gap) inside = c == '[' || (inside && c != ']');
    at += is_gap ? gap.size() : 1;
  }
  if (!inside) found.open = text.npos;
  return found;
}

/// A text without the name behind its first word, as lines of .smi files have it; which is said.
inline std::string without_name(const PartialText& given) {
  const auto text = trim(given.text);
  const auto end = text.find_first_of(kBlanks);
  if (end == text.npos || given.gap.find_first_of(kBlanks) != given.gap.npos)
    return std::string(text);
  const auto rest = trim(text.substr(end));
  if (rest.starts_with('[')) return std::string(text);  // tokens with blanks between them
  warn(fmt::format("of the text \"{}\" the molecule is \"{}\"; \"{}\" is taken as its name", text,
                   text.substr(0, end), rest));
  return std::string(text.substr(0, end));
}

/// The state of what is written in tokens alone.
inline Tensor state_of_selfies(const StateSpace& space, PartialText given,
                               const SelfiesSpelling& spelling) {
  const auto written = given.text;
  try {
    if (spelling.compatible)
      given.text = selfies::modernise(written);
    else
      selfies::refuse_version_1(written);
  } catch (const selfies::Malformed& e) {
    throw SpecError(e.what());
  }
  try {
    return state_of_text(space, given, {.gap = kSelfiesGap, .padding = space.levels() - 1});
  } catch (const SpecError& e) {
    if (given.text == written) throw;
    throw SpecError(fmt::format("the SELFIES {} is {} today: {}", written, given.text, e.what()));
  }
}

inline Tensor state_of_smiles(const StateSpace& space, PartialText given,
                              const SelfiesSpelling& spelling) {
  const auto smiles = given.text;
  try {
    given.text = selfies::encode(smiles, spelling.constraints);
  } catch (const selfies::Malformed& e) {
    throw SpecError(fmt::format("the SMILES {}: {}; a part of a molecule is given as SELFIES, with "
                                "[?] for an unknown token",
                                smiles, e.what()));
  }
  try {
    return state_of_text(space, given, {.gap = kSelfiesGap, .padding = space.levels() - 1});
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("the SMILES {} is {}: {}", smiles, given.text, e.what()));
  }
}

/// The state of a molecule, or of a part of one, whose last level is padding.
///
/// Over tokens of SELFIES: a text in brackets is SELFIES, with [?] for one unknown token; any other
/// is a SMILES, which becomes SELFIES and can have no gaps. Over pieces of SMILES (no spelling):
/// SMILES, with ? for one unknown piece.
inline Tensor state_of_molecule(const StateSpace& space, PartialText given,
                                const SelfiesSpelling* spelling) {
  if (!spelling) return state_of_text(space, given, {.padding = space.levels() - 1});
  given.text = without_name(given);
  const auto brackets = find_brackets(given.text, given.gap);
  if (!brackets.hold_all) return state_of_smiles(space, given, *spelling);
  if (brackets.open != std::string::npos)
    throw SpecError(fmt::format("character {}: \"[\" is never closed by \"]\"", brackets.open + 1));
  return state_of_selfies(space, given, *spelling);
}

}  // namespace marginalia::chemistry
