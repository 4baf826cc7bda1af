#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/partial_state.h>
#include <marginalia/text_file.h>

#include "sdk/base/text.h"

namespace marginalia {
namespace {

/// The value of a key; null where there is none.
const Json* given_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// The level that variable `i` has; kUnknown for null. place(): where the value stands.
template <class Place>
std::int64_t read_level(const Json& value, const StateSpace& space, std::int64_t i, Place place) {
  if (value.is_null()) return kUnknown;
  const auto limit = space.cardinalities[std::size_t(i)];
  const auto level = whole_number(value);
  if (!level || *level < 0 || *level >= limit)
    throw SpecError(fmt::format("{} must be null or an integer from 0 to {}, not {}", place(),
                                limit - 1, value.dump()));
  return *level;
}

Tensor state_of_list(const Json& x, const StateSpace& space, const std::string& where) {
  const auto D = space.dimension();
  if (std::int64_t(x.size()) != D)
    throw SpecError(
        fmt::format("{} has {} values, the model has {} variables", where, x.size(), D));
  auto state = torch::full({D}, kUnknown, torch::kLong);
  auto* const levels = state.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < D; ++i)
    levels[i] =
        read_level(x[std::size_t(i)], space, i, [&] { return fmt::format("{}[{}]", where, i); });
  return state;
}

/// The variable that a word names: its number, or its name where it has one.
std::int64_t variable_named(const std::string& word, const StateSpace& space,
                            const std::string& where) {
  const auto D = space.dimension();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error == std::errc() && end == word.data() + word.size()) {
    if (number >= 0 && number < D) return number;
    throw SpecError(
        fmt::format("{}: there is no variable {}: they are 0 to {}", where, word, D - 1));
  }
  const auto& names = space.names;
  if (std::ranges::count(names, word) > 1)
    throw SpecError(fmt::format("{}: several variables are called \"{}\"; name one by its number",
                                where, word));
  if (const auto found = std::ranges::find(names, word); found != names.end())
    return found - names.begin();
  auto known = names;
  known.insert(known.end(), {"text", "at", "gap"});
  const auto guess = nearest(word, known);
  throw SpecError(
      fmt::format("{}: \"{}\" is no variable{}; they are named by their numbers, 0 to {}{}", where,
                  word, guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess), D - 1,
                  names.empty() ? "" : ", or by their names"));
}

Tensor state_of_variables(const Json& x, const StateSpace& space, const std::string& where) {
  auto state = torch::full({space.dimension()}, kUnknown, torch::kLong);
  auto* const levels = state.data_ptr<std::int64_t>();
  std::vector<bool> seen(std::size_t(space.dimension()));
  for (const auto& [key, value] : x.items()) {
    const auto i = variable_named(key, space, where);
    if (seen[std::size_t(i)])
      throw SpecError(fmt::format("{}: \"{}\" names variable {} again", where, key, i));
    seen[std::size_t(i)] = true;
    levels[i] = read_level(value, space, i, [&] { return fmt::format("{}: \"{}\"", where, key); });
  }
  return state;
}

const std::string& string_at(const Json& json, const std::string& key, const std::string& where) {
  if (!json.is_string())
    throw SpecError(fmt::format("{}: \"{}\" must be a string, not {}", where, key, json.dump()));
  return json.get_ref<const std::string&>();
}

PartialText partial_text(const Json& json, const std::string& where) {
  if (json.is_string()) return {json.get<std::string>()};
  PartialText text;
  for (const auto& [key, value] : json.items())
    if (key == "text") {
      text.text = string_at(value, key, where);
    } else if (key == "gap") {
      text.gap = string_at(value, key, where);
    } else if (key == "at") {
      text.at = whole_number(value);
      if (!text.at)
        throw SpecError(fmt::format("{}: \"at\" must be the number of a variable, from 0, not {}",
                                    where, value.dump()));
    } else {
      throw SpecError(
          fmt::format("{}: \"{}\" is not a key of a text; there is: text, at, gap", where, key));
    }
  if (!json.contains("text")) throw SpecError(fmt::format("{}: needs \"text\"", where));
  return text;
}

Tensor state_of_json_text(const Json& x, const StateSpace& space, const std::string& where,
                          const TextReader& read) {
  const auto text = partial_text(x, where);
  try {
    const auto state = read ? read(text) : state_of_text(space, text);
    space.check(state.unsqueeze(0), true, where);
    return state;
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("{}: {}", where, e.what()));
  }
}

bool is_of_variables(const Json& x) {
  return x.is_object() && !x.contains("text") && !x.contains("at") && !x.contains("gap");
}

/// The "text" of a line, with its "at" and "gap".
Tensor state_of_line_text(const Json& line, const StateSpace& space, const std::string& where,
                          const TextReader& read) {
  Json text;
  for (const auto* key : {"text", "at", "gap"})
    if (const auto* const value = given_at(line, key); value && !value->is_array())
      text[key] = *value;
  return state_of_json_text(text, space, where, read);
}

/// Refuses what says how a text is meant where there is none.
void check_without_text(const Json& line, const std::string& where) {
  const auto* const at = given_at(line, "at");
  if (at && !at->is_array())
    throw SpecError(fmt::format(
        "{}: \"at\": {} says where \"text\" begins; a list, as \"at\": [{}], asks about variables",
        where, at->dump(), at->dump()));
  if (given_at(line, "gap"))
    throw SpecError(where + ": \"gap\" is for \"text\", and there is none");
}

std::vector<std::int64_t> variables_at(const Json& at, const StateSpace& space,
                                       const std::string& where) {
  std::vector<std::int64_t> variables;
  for (const auto& one : at) {
    const auto number = whole_number(one);
    if (!number && !one.is_string())
      throw SpecError(fmt::format("{} must be a list of variables, by number or name, not {}",
                                  where, at.dump()));
    variables.push_back(
        variable_named(number ? std::to_string(*number) : one.get<std::string>(), space, where));
  }
  return variables;
}

/// x with what is given.
Tensor merged(const Tensor& x, const Tensor& given, const std::string& where) {
  const auto clash = (x != kUnknown).logical_and(given != kUnknown).logical_and(x != given);
  if (const auto variables = clash.nonzero(); variables.numel() > 0)
    throw SpecError(fmt::format("{}: \"x\" and \"given\" disagree on variable {}", where,
                                variables[0].item<std::int64_t>()));
  return torch::where(given != kUnknown, given, x);
}

const std::vector<std::string> kKeys{"x", "text", "at", "gap", "given"};

std::string plain(std::string_view key) {
  std::string text(trim(key));
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// Whether one letter too many, missing, wrong or in its neighbour's place makes `word` of `name`.
bool is_one_slip(std::string_view word, std::string_view name) {
  const auto ahead = std::ranges::mismatch(word, name);
  word = {ahead.in1, word.end()};
  name = {ahead.in2, name.end()};
  while (!word.empty() && !name.empty() && word.back() == name.back()) {
    word.remove_suffix(1);
    name.remove_suffix(1);
  }
  if (word.size() == 2 && name.size() == 2) return word[0] == name[1] && word[1] == name[0];
  return word.size() <= 1 && name.size() <= 1;
}

/// Whether `key` may be a slip for `name`. The shorter a name, the more words are near it that
/// mean something else.
bool is_nearly(const std::string& key, const std::string& name) {
  const auto word = plain(key);
  if (word == name || word == name + name) return true;
  if (name.size() > 4 && !nearest(word, {name}).empty()) return true;
  if (name.size() > 2) return is_one_slip(word, name);
  return name.size() == 2 && word.size() >= 2 && word.find_first_not_of(name) == word.npos &&
         is_one_slip(word, name);
}

}  // namespace

Tensor partial_state(const Json& x, const StateSpace& space, const std::string& where,
                     const TextReader& read) {
  if (x.is_array()) return state_of_list(x, space, where);
  if (is_of_variables(x)) return state_of_variables(x, space, where);
  if (x.is_string() || x.is_object()) return state_of_json_text(x, space, where, read);
  throw SpecError(fmt::format("{} must be a list of {} values or nulls, an object of variables and "
                              "values, or a text",
                              where, space.dimension()));
}

Question question_of_line(const Json& line, const StateSpace& space, const std::string& where,
                          const TextReader& read) {
  Question question;
  const auto* const x = given_at(line, "x");
  const auto* const text = given_at(line, "text");
  const auto* const given = given_at(line, "given");
  question.names_state = x || text;
  if (!question.names_state && !given)
    throw SpecError(fmt::format("{}: needs \"x\": a list of {} values or nulls, or an object of "
                                "variables and values; or \"text\"",
                                where, space.dimension()));
  if (!text) check_without_text(line, where);
  question.known = x      ? partial_state(*x, space, where + ": \"x\"", read)
                   : text ? state_of_line_text(line, space, where, read)
                          : space.empty()[0];
  if (given) {
    question.given = partial_state(*given, space, where + ": \"given\"", read);
    question.known = merged(question.known, question.given, where);
  }
  question.by_variable = (x && is_of_variables(*x)) || (given && is_of_variables(*given));
  if (const auto* const at = given_at(line, "at"); at && at->is_array())
    question.at = variables_at(*at, space, where + ": \"at\"");
  return question;
}

std::vector<std::string> doubtful_keys(const Json& line) {
  std::vector<std::string> texts;
  for (const auto& [key, _] : line.items()) {
    if (std::ranges::count(kKeys, key)) continue;
    for (const auto& name : kKeys)
      if (is_nearly(key, name)) {
        texts.push_back(fmt::format("\"{}\" is passed through; was \"{}\" meant?", key, name));
        break;
      }
  }
  return texts;
}

}  // namespace marginalia
