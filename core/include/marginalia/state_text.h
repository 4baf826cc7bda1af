#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <marginalia/state_space.h>

namespace marginalia {

/// What a person writes of a state: all of it, or a part at a place.
struct PartialText {
  std::string text;
  std::optional<std::int64_t> at = {};  ///< variable that the text begins at, all that it does not
                                        ///< reach being unknown; none: the text is the whole state
  std::string gap = {};  ///< stands for one unknown variable; empty: what the reader has for it
};

/// -> int64 [D], kUnknown for what is unknown. Throws SpecError, saying at which character.
using TextReader = std::function<Tensor(const PartialText&)>;

/// What texts of a space have beside its letters.
struct Spelling {
  std::string gap = "?";
  std::int64_t padding = kUnknown;  ///< fills up a whole state that is short; kUnknown: none may be
};

/// The state that a text spells, each time by the longest letter of the alphabet; without an
/// alphabet by numbers, between which blanks and slashes may stand. The inverse of
/// StateSpace::to_text.  -> int64 [D]. Throws SpecError, saying at which character (from 1), where
/// it spells none.
MARGINALIA_API Tensor state_of_text(const StateSpace& space, const PartialText& text,
                                    const Spelling& spelling = {});

}  // namespace marginalia
