/// \file
/// What is wrong with text that is no JSON, in words: the parser knows where it stopped, and this
/// what people write there by mistake.
#include "json_fault.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/text_file.h>

namespace marginalia {
namespace {

/// Where a parser stopped: takes what there is and keeps nothing of it.
class Stop final : public nlohmann::json_sax<Json> {
 public:
  std::size_t read = 0;  // bytes, with the one that it stopped at
  std::string said;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    read = position;
    said = e.what();
    return false;
  }
};

bool is_in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '+' || c == '-' ||
         c == '.';
}

/// The word that holds the byte `at`, or ends before it; `at` becomes the place of its first byte.
/// Empty where there is none.
std::string_view word_at(std::string_view text, std::size_t& at) {
  auto end = at;
  while (end < text.size() && is_in_word(text[end]))
    ++end;
  while (at > 0 && is_in_word(text[at - 1]))
    --at;
  return text.substr(at, end - at);
}

/// What is open at the end of `text`: the place of the last bracket or quote that is not closed.
std::optional<std::size_t> open_at_end(std::string_view text) {
  std::vector<std::size_t> open;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const auto rest = text.substr(at);
    if (c == '"') {
      const auto begin = at++;
      while (at < text.size() && text[at] != '"')
        at += text[at] == '\\' ? 2 : 1;
      if (at >= text.size()) return begin;
    } else if (rest.starts_with("//")) {
      at = std::min(text.find('\n', at), text.size());
    } else if (rest.starts_with("/*")) {
      at = std::min(text.find("*/", at), text.size()) + 1;
    } else if (c == '{' || c == '[') {
      open.push_back(at);
    } else if ((c == '}' || c == ']') && !open.empty()) {
      open.pop_back();
    }
  }
  return open.empty() ? std::nullopt : std::optional(open.back());
}

std::string lower_case(std::string_view word) {
  std::string text(word);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// What other languages write for a value that JSON has, or has not.
std::string of_word(std::string_view word) {
  static const std::map<std::string, std::string, std::less<>> meant{
      {"none", "null"}, {"nil", "null"},  {"null", "null"}, {"undefined", "null"},
      {"na", "null"},   {"n.a.", "null"}, {"true", "true"}, {"false", "false"}};
  if (Json::accept(word)) return "";
  const auto bare = lower_case(word.substr(word.find_first_not_of("+-") == 1 ? 1 : 0));
  if (bare == "nan")
    return fmt::format("{} is no JSON; null stands for a value that is not known", word);
  if (bare == "inf" || bare == "infinity")
    return fmt::format("{} is no JSON: its numbers are finite", word);
  if (const auto found = meant.find(bare); found != meant.end())
    return fmt::format("{} is no JSON; write {}", word, found->second);
  if (const auto number = parse_number(word); !number.fault) {
    const Json value = number.value;
    const auto whole = whole_number(value);
    return fmt::format("{} is no number of JSON; write {}", word,
                       whole ? std::to_string(*whole) : value.dump());
  }
  return "";
}

/// Without the place that the parser tells, and how it came there.
std::string cut_tail(const std::string& said) {
  auto text = without_json_names(said);
  for (const std::string_view before : {": ", " - "})
    if (text.starts_with("parse error at") || text.starts_with("syntax error"))
      if (const auto at = text.find(before); at != text.npos) text.erase(0, at + before.size());
  return text.substr(0, text.find("; last read"));
}

/// A fault and the byte that it stands at.
struct Found {
  std::size_t at;
  std::string what;
};

Found found_at_end(std::string_view text) {
  const auto open = open_at_end(text);
  if (!open) return {text.size(), "the text ends too early"};
  const char c = text[*open];
  return {*open, fmt::format("the {} that begins here is not closed", c == '"'   ? "string"
                                                                      : c == '{' ? "object"
                                                                                 : "list")};
}

/// A word that is no value.
std::string of_other_word(std::string_view word) {
  if (auto what = of_word(word); !what.empty()) return what;
  const bool is_number = std::string_view("+-.0123456789").find(word.front()) != std::string::npos;
  return fmt::format("{} is no {}", word,
                     is_number ? "number" : "value; strings stand in \"double quotes\"");
}

/// What stands at the byte `at`, where a parser that says `said` stopped.
Found found_in(std::string_view text, std::size_t at, const std::string& said) {
  const auto says = [&](const char* words) { return said.find(words) != said.npos; };
  if (says("control character")) {
    const auto quote = text.substr(0, at).rfind('"');
    return {quote == text.npos ? at : quote,
            "the string that begins here is not closed in its line"};
  }
  if (says("invalid string") || says("invalid comment")) return {at, cut_tail(said)};
  const char c = text[at];
  if (c == '\'') return {at, "strings stand in \"double quotes\", not in single ones"};
  auto begin = c == '"' && at > 0 ? std::min(text.rfind('"', at - 1), at) : at;
  std::string_view word;
  if (is_in_word(c) || says("invalid literal") || says("invalid number"))
    word = word_at(text, begin);
  if (says("; expected end of input"))
    return {begin, "the JSON ends before this, and more follows"};
  const auto before = text.substr(0, begin).find_last_not_of(" \t\r\n");
  const bool follows_comma = before != text.npos && text[before] == ',';
  if ((c == ']' || c == '}') && word.empty() && follows_comma)
    return {before, "a comma too many: nothing follows it"};
  if (says("object key"))
    return {begin, "a key of an object must stand here, in \"double quotes\""};
  if (says("number overflow")) return {begin, fmt::format("{} is too large for a number", word)};
  if (!word.empty() && !Json::accept(word)) return {begin, of_other_word(word)};
  if (says("; expected ':'")) return {begin, "a key must be followed by a colon and its value"};
  for (const auto& [bracket, what] :
       {std::pair{"; expected ']'", "list"}, {"; expected '}'", "object"}})
    if (says(bracket))
      return {begin, fmt::format("a comma, or the end of the {}, must stand before this", what)};
  if (says("; expected '['")) return {begin, "a value must stand before this"};
  return {begin, cut_tail(said)};
}

Found first_fault(std::string_view text) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    return {0, "this is UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"};
  if (text.find_first_not_of(" \t\r\n") == text.npos) return {0, "there is nothing"};
  Stop stop;
  Json::sax_parse(text.begin(), text.end(), &stop, Json::input_format_t::json, true, true);
  const auto says = [&](const char* words) { return stop.said.find(words) != std::string::npos; };
  if (says("unexpected end of input") || says("missing closing quote")) return found_at_end(text);
  return found_in(text, std::min(std::max<std::size_t>(stop.read, 1), text.size()) - 1, stop.said);
}

}  // namespace

JsonFault json_fault(std::string_view text) {
  auto [at, what] = first_fault(text);
  LineReader lines(text.substr(0, at));
  while (lines.next()) {
  }
  const bool begins_line = at > 0 && (text[at - 1] == '\n' || text[at - 1] == '\r');
  const auto line = std::size_t(lines.number()) + (begins_line || at == 0 ? 1 : 0);
  const auto before = begins_line ? std::string_view() : lines.line();
  const auto characters = std::ranges::count_if(before, [](char c) { return (c & 0xC0) != 0x80; });
  return {line, std::size_t(characters) + 1, std::move(what)};
}

std::string without_json_names(std::string_view what) {
  constexpr std::string_view kBegin = "[json.exception.";
  std::string text(what);
  for (auto at = text.find(kBegin); at != text.npos; at = text.find(kBegin, at)) {
    const auto end = text.find("] ", at);
    text.erase(at, end == text.npos ? kBegin.size() : end + 2 - at);
  }
  return text;
}

}  // namespace marginalia
