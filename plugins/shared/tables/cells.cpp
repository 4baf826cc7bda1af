#include "cells.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include <marginalia/text_file.h>

namespace marginalia::tables {

namespace {

constexpr std::array kDays{"Y-M-D", "Y/M/D", "D.M.Y", "M/D/Y", "D/M/Y"};
constexpr std::array kTimes{"", "h:m:s", "h:m"};
constexpr double kDay = 86400;

/// Reads the digits at the front of `text`, at most `most` of them; -1: there are none.
int take_digits(std::string_view& text, std::size_t most) {
  std::size_t count = 0;
  int value = 0;
  while (count < std::min(text.size(), most) && text[count] >= '0' && text[count] <= '9')
    value = 10 * value + (text[count++] - '0');
  text.remove_prefix(count);
  return count == 0 ? -1 : value;
}

/// Numbers of `text` in the places of the letters of `form`, by letter; false where it is not of
/// it.
template <class Set>
bool take(std::string_view& text, std::string_view form, const Set& set) {
  for (const char c : form) {
    if (c == 'Y' || c == 'M' || c == 'D' || c == 'h' || c == 'm' || c == 's') {
      const auto before = text.size();
      const int value = take_digits(text, c == 'Y' ? 4 : 2);
      if (value < 0 || (c == 'Y' && before - text.size() != 4)) return false;
      set(c, value);
    } else {
      if (!text.starts_with(c)) return false;
      text.remove_prefix(1);
    }
  }
  return true;
}

}  // namespace

const std::vector<std::string>& usual_missing() {
  static const std::vector<std::string> marks{"",    "?",   "NA",   "N/A",  "n/a", "nan",
                                              "NaN", "NAN", "null", "NULL", "None"};
  return marks;
}

std::string_view bare(std::string_view field, const Marks& marks) {
  if (field.size() >= 2 && field.front() == '\'' && field.back() == '\'')
    field = trim(field.substr(1, field.size() - 2));
  if (marks.strip.empty()) return field;
  const auto last = field.find_last_not_of(marks.strip);
  return field.substr(0, last == field.npos ? 0 : last + 1);
}

bool is_missing(std::string_view field, const Marks& marks) {
  return std::ranges::find(marks.missing, field) != marks.missing.end();
}

std::optional<Number> parse(std::string_view field, bool comma) {
  std::string pointed;
  if (comma) {
    if (field.find('.') != field.npos) return std::nullopt;
    pointed = field;
    std::ranges::replace(pointed, ',', '.');
    field = pointed;
  }
  const auto parsed = parse_number(field);
  if (parsed.fault) return std::nullopt;
  auto digits = field;
  if (digits.starts_with('+') || digits.starts_with('-')) digits.remove_prefix(1);
  Number number{.value = parsed.value};
  number.leading_zero =
      digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
  const auto exponent = digits.find_first_of("eE");
  const auto mantissa = digits.substr(0, exponent);
  if (const auto point = mantissa.find('.'); point != mantissa.npos) {
    const auto last = mantissa.find_last_not_of('0');
    number.decimals = std::max(0, int(last) - int(point));
  }
  if (exponent != digits.npos)
    number.decimals =
        std::max(0, number.decimals - int(parse_integer(digits.substr(exponent + 1)).value));
  return number;
}

double DateForm::step() const {
  return times.empty() ? kDay : times == "h:m" ? 60 : 1;
}

std::string DateForm::text() const {
  return times.empty() ? days : fmt::format("{}{}{}", days, between, times);
}

std::optional<DateForm> DateForm::of(std::string_view text) {
  for (const auto* days : kDays)
    for (const auto* times : kTimes)
      for (const char between : {' ', 'T'})
        if (const DateForm form{days, times, between}; form.text() == text) return form;
  return std::nullopt;
}

std::vector<DateForm> date_forms(std::string_view field) {
  std::vector<DateForm> forms;
  for (const auto* days : kDays)
    for (const auto* times : kTimes)
      for (const char between : {' ', 'T'}) {
        if (*times == '\0' && between == 'T') continue;
        const DateForm form{days, times, between};
        if (parse_date(field, form)) forms.push_back(form);
      }
  return forms;
}

std::optional<double> parse_date(std::string_view field, const DateForm& form) {
  using namespace std::chrono;
  int part[128] = {};
  part[int('M')] = part[int('D')] = 1;
  const auto set = [&](char c, int value) { part[int(c)] = value; };
  if (!take(field, form.days, set)) return std::nullopt;
  if (!form.times.empty()) {
    if (!field.starts_with(form.between)) return std::nullopt;
    field.remove_prefix(1);
    if (!take(field, form.times, set)) return std::nullopt;
  }
  const year_month_day date{year(part[int('Y')]), month(unsigned(part[int('M')])),
                            day(unsigned(part[int('D')]))};
  if (!field.empty() || !date.ok() || part[int('h')] > 23 || part[int('m')] > 59 ||
      part[int('s')] > 59)
    return std::nullopt;
  return kDay * double(sys_days(date).time_since_epoch().count()) + 3600 * part[int('h')] +
         60 * part[int('m')] + part[int('s')];
}

std::string write_date(double seconds, const DateForm& form) {
  using namespace std::chrono;
  const auto whole = std::floor(seconds / kDay);
  const year_month_day date{sys_days(days(std::int64_t(whole)))};
  const auto rest = std::int64_t(std::llround(seconds - whole * kDay));
  std::string text;
  for (const char c : form.text()) {
    switch (c) {
      case 'Y':
        text += fmt::format("{:04}", int(date.year()));
        break;
      case 'M':
        text += fmt::format("{:02}", unsigned(date.month()));
        break;
      case 'D':
        text += fmt::format("{:02}", unsigned(date.day()));
        break;
      case 'h':
        text += fmt::format("{:02}", rest / 3600);
        break;
      case 'm':
        text += fmt::format("{:02}", rest / 60 % 60);
        break;
      case 's':
        text += fmt::format("{:02}", rest % 60);
        break;
      default:
        text += c;
    }
  }
  return text;
}

std::string write_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text)
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string write_number(double value, int decimals, bool comma) {
  auto text = fmt::format("{:.{}f}", value, std::max(decimals, 0));
  if (decimals > 0) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
  }
  if (text == "-0") text = "0";
  if (comma) std::ranges::replace(text, '.', ',');
  return text;
}

}  // namespace marginalia::tables
