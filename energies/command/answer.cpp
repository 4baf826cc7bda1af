#include "answer.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/json.h>
#include <marginalia/text_file.h>

namespace marginalia::command {
namespace {

bool is_minus_infinity(std::string_view word) {
  std::string lower(word);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower == "-inf" || lower == "-infinity";
}

/// What JSON has for a word outside of its texts: null for -inf, the same number in its own form.
std::string json_word(std::string_view word) {
  if (is_minus_infinity(word)) return "null";
  const auto number = parse_number(word);
  return number.fault ? std::string(word) : fmt::format("{:.17g}", number.value);
}

/// The line with its bare words as JSON has them.
std::string as_json(std::string_view line) {
  const auto belongs = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-' || c == '.';
  };
  std::string text;
  bool quoted = false;
  for (std::size_t at = 0; at < line.size();) {
    const auto* const end =
        quoted ? line.begin() + at : std::find_if_not(line.begin() + at, line.end(), belongs);
    const auto length = std::size_t(end - (line.begin() + at));
    if (length > 0) {
      text += json_word(line.substr(at, length));
      at += length;
      continue;
    }
    if (line[at] == '"') quoted = !quoted;
    if (quoted && line[at] == '\\') text += line[at++];
    if (at < line.size()) text += line[at++];
  }
  return text;
}

}  // namespace

double parse_answer(const std::string& line) {
  auto json = Json::parse(as_json(trim(line)), nullptr, false);
  if (json.is_object() && json.contains("log_density")) json = Json(json["log_density"]);
  if (json.is_null() || (json.is_string() && is_minus_infinity(json.get<std::string>())))
    return -INFINITY;
  return json.is_number() ? json.get<double>() : NAN;
}

}  // namespace marginalia::command
