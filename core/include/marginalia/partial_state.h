#pragma once

#include <string>

#include <marginalia/spec.h>
#include <marginalia/state_space.h>
#include <marginalia/state_text.h>

namespace marginalia {

/// A state as JSON: int64 [D]. A list of values with null for what is unknown; or a text, alone or
/// as {"text": "...", "at": 3, "gap": "_"} with the keys of PartialText, which `read` reads (none:
/// state_of_text of the space). Throws SpecError, beginning with `where`, for anything else.
MARGINALIA_API Tensor partial_state(const Json& values, const StateSpace& space,
                                    const std::string& where, const TextReader& read = {});

/// The state that a line of input names: its "x", or its "text", "at" and "gap".
MARGINALIA_API Tensor partial_state_of_line(const Json& line, const StateSpace& space,
                                            const std::string& where, const TextReader& read = {});

}  // namespace marginalia
