#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/partial_state.h>

namespace marginalia {
namespace {

Tensor state_of_list(const Json& x, const StateSpace& space, const std::string& where) {
  const auto D = space.dimension();
  if (std::int64_t(x.size()) != D)
    throw SpecError(
        fmt::format("{} has {} values, the model has {} variables", where, x.size(), D));
  auto state = torch::full({D}, kUnknown, torch::kLong);
  auto values = state.accessor<std::int64_t, 1>();
  for (std::int64_t i = 0; i < D; ++i) {
    const auto& value = x[std::size_t(i)];
    const auto limit = space.cardinalities[std::size_t(i)];
    if (value.is_null()) continue;
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
        value.get<std::int64_t>() >= limit)
      throw SpecError(fmt::format("{}[{}] must be null or an integer from 0 to {}, not {}", where,
                                  i, limit - 1, value.dump()));
    values[i] = value.get<std::int64_t>();
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
      if (!value.is_number_integer())
        throw SpecError(fmt::format("{}: \"at\" must be the number of a variable, from 0, not {}",
                                    where, value.dump()));
      text.at = value.get<std::int64_t>();
    } else {
      throw SpecError(
          fmt::format("{}: \"{}\" is not a key of a text; there is: text, at, gap", where, key));
    }
  if (!json.contains("text")) throw SpecError(fmt::format("{}: needs \"text\"", where));
  return text;
}

}  // namespace

Tensor partial_state(const Json& x, const StateSpace& space, const std::string& where,
                     const TextReader& read) {
  if (x.is_array()) return state_of_list(x, space, where);
  if (!x.is_string() && !x.is_object())
    throw SpecError(fmt::format("{} must be a list of {} values or nulls, or a text", where,
                                space.dimension()));
  const auto text = partial_text(x, where);
  try {
    const auto state = read ? read(text) : state_of_text(space, text);
    space.check(state.unsqueeze(0), true, where);
    return state;
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("{}: {}", where, e.what()));
  }
}

Tensor partial_state_of_line(const Json& line, const StateSpace& space, const std::string& where,
                             const TextReader& read) {
  if (const auto x = line.find("x"); x != line.end())
    return partial_state(*x, space, where + ": \"x\"", read);
  if (!line.contains("text"))
    throw SpecError(fmt::format("{}: needs \"x\": a list of {} values or nulls, or \"text\"", where,
                                space.dimension()));
  Json text;
  for (const auto* key : {"text", "at", "gap"})
    if (line.contains(key)) text[key] = line[key];
  return partial_state(text, space, where, read);
}

}  // namespace marginalia
