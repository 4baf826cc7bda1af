#include <cmath>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/json.h>

#include "unique_keys.h"

namespace marginalia {

Json parse_json(std::string_view text) {
  UniqueKeys<Json> keys;
  const auto watch = [&](int, Json::parse_event_t event, const Json& value) {
    if (keys.repeated(event, value))
      throw SpecError(fmt::format("\"{}\" stands twice in one object", value.get<std::string>()));
    return true;
  };
  return Json::parse(text, watch, true, true);
}

Json json_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

}  // namespace marginalia
