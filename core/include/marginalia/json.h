#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>

#include <marginalia/api.h>

namespace marginalia {

/// JSON whose objects keep the order they were written in.
using Json = nlohmann::ordered_json;

/// Parses text that people write: `//` and `/* */` comments are allowed. Throws SpecError for what
/// is no JSON, "line 2, column 7: " and what is wrong there, and for a key that stands twice in one
/// object, of which parsers keep the last silently.
MARGINALIA_API Json parse_json(std::string_view text);
/// The same of text that is one line of something longer: of the place the column alone is said.
MARGINALIA_API Json parse_json_line(std::string_view line);

/// A number, also where JSON has none for it: "inf", "-inf", and null for NaN, what is unknown.
MARGINALIA_API Json json_number(double value);

/// The integer that a value is, written 4, 4.0 or 4e0; nothing for any other value, and for a
/// number that no std::int64_t holds, or no double exactly.
MARGINALIA_API std::optional<std::int64_t> whole_number(const Json& value);

}  // namespace marginalia
