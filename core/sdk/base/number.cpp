#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <system_error>

#include <marginalia/text_file.h>

namespace marginalia {
namespace {

constexpr const char* kNoNumber = "is not a finite number";
constexpr const char* kNoInteger = "is not an integer";
constexpr const char* kTooLarge = "is too large";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// `word` without a sign +; empty where no digit or point follows the sign.
std::string_view unsigned_start(std::string_view word) {
  const auto digits = word.substr(!word.empty() && (word[0] == '+' || word[0] == '-'));
  if (digits.empty() || !(is_digit(digits[0]) || digits[0] == '.')) return {};
  return word[0] == '+' ? digits : word;
}

}  // namespace

Parsed<double> parse_number(std::string_view word) {
  const auto text = unsigned_start(word);
  double value = 0;
  const auto* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error == std::errc() && end == last) return {value};
  if (error != std::errc::result_out_of_range || end != last || text.empty()) return {0, kNoNumber};
  // from_chars does not say on which side it is out of range.
  if (std::abs(std::strtod(std::string(text).c_str(), nullptr)) > 1) return {0, kTooLarge};
  return {0, nullptr, true};
}

Parsed<std::int64_t> parse_integer(std::string_view word) {
  const auto text = unsigned_start(word);
  std::int64_t value = 0;
  const auto* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error == std::errc() && end == last) return {value};
  if (error == std::errc::result_out_of_range && end == last) return {0, kTooLarge};
  const auto number = parse_number(word);
  if (number.fault) return {0, number.fault == kTooLarge ? kTooLarge : kNoInteger};
  if (number.underflow || number.value != std::trunc(number.value)) return {0, kNoInteger};
  constexpr double kExact = 9007199254740992;  // 2^53
  if (std::abs(number.value) > kExact) return {0, kTooLarge};
  return {static_cast<std::int64_t>(number.value)};
}

}  // namespace marginalia
