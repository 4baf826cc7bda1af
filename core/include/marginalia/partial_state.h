#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <marginalia/spec.h>
#include <marginalia/state_space.h>
#include <marginalia/state_text.h>

namespace marginalia {

/// A state as JSON: int64 [D]. A list of values with null for what is unknown; an object of those
/// that are known, {"7": 1}, by their numbers from 0 or by their names; or a text, alone or as
/// {"text": "...", "at": 3, "gap": "_"} with the keys of PartialText, which `read` reads (none:
/// state_of_text of the space). Throws SpecError, beginning with `where`, for anything else.
MARGINALIA_API Tensor partial_state(const Json& values, const StateSpace& space,
                                    const std::string& where, const TextReader& read = {});

/// What a line of input asks about.
struct Question {
  Tensor known;  ///< int64 [D]: "x", or "text", with what is "given"; all unknown for neither
  Tensor given;  ///< int64 [D]; undefined where the line has none
  bool names_state = false;  ///< whether the line has "x" or "text"
  bool by_variable = false;  ///< whether "x" or "given" is an object of variables
  std::optional<std::vector<std::int64_t>> at = {};  ///< a list "at": what alone is asked about
};

/// What a line asks: "x", or "text" with its "at" and "gap"; "given"; a list "at". What else stands
/// there is passed over. Throws SpecError, beginning with `where`, for what is no state or
/// variable, for "x" and "given" that disagree, and for a line that has neither of them nor "text".
MARGINALIA_API Question question_of_line(const Json& line, const StateSpace& space,
                                         const std::string& where, const TextReader& read = {});

/// Keys of a line that are nearly one of those above: "\"gven\" is passed through; was \"given\"
/// meant?" each.
MARGINALIA_API std::vector<std::string> doubtful_keys(const Json& line);

}  // namespace marginalia
