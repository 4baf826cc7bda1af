#include <cmath>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/json.h>

#include "json_fault.h"
#include "unique_keys.h"

namespace marginalia {

/// Throws the parser's exception, or SpecError for a key that stands twice.
static Json parse_unique(std::string_view text) {
  UniqueKeys<Json> keys;
  const auto watch = [&](int, Json::parse_event_t event, const Json& value) {
    if (keys.repeated(event, value))
      throw SpecError(fmt::format("\"{}\" stands twice in one object", value.get<std::string>()));
    return true;
  };
  return Json::parse(text, watch, true, true);
}

Json parse_json(std::string_view text) {
  try {
    return parse_unique(text);
  } catch (const nlohmann::json::exception&) {
    const auto fault = json_fault(text);
    throw SpecError(
        fmt::format("not JSON: line {}, column {}: {}", fault.line, fault.column, fault.what));
  }
}

Json parse_json_line(std::string_view line) {
  try {
    return parse_unique(line);
  } catch (const nlohmann::json::exception&) {
    const auto fault = json_fault(line);
    throw SpecError(fmt::format("not JSON: column {}: {}", fault.column, fault.what));
  }
}

Json read_json(const std::filesystem::path& file) {
  try {
    return parse_json(read_text(file));
  } catch (const SpecError& e) {
    throw Error(fmt::format("{}: {}", file.string(), e.what()));
  }
}

bool is_utf8(std::string_view text) {
  try {
    Json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

Json json_number(double value) {
  if (std::isnan(value)) return {};
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

std::optional<std::int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned())
    return value.get<std::uint64_t>() <= INT64_MAX ? std::optional(value.get<std::int64_t>())
                                                   : std::nullopt;
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return {};
  constexpr double kExact = 9007199254740992;  // 2^53
  const auto number = value.get<double>();
  if (number != std::trunc(number) || std::abs(number) > kExact) return {};
  return static_cast<std::int64_t>(number);
}

}  // namespace marginalia
