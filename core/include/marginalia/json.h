#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include <marginalia/api.h>

namespace marginalia {

/// JSON whose objects keep the order they were written in.
using Json = nlohmann::ordered_json;

/// Parses text that people write: `//` and `/* */` comments are allowed, and a key that stands
/// twice in one object, of which parsers keep the last silently, is a SpecError. Other faults are
/// the parser's nlohmann::json::exception.
MARGINALIA_API Json parse_json(std::string_view text);

/// A number, also where JSON has none for it: "nan", "inf", "-inf".
MARGINALIA_API Json json_number(double value);

}  // namespace marginalia
