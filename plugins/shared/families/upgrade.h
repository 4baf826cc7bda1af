#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include <marginalia/json.h>

/// Helpers of components that read the parameters of older formats.
namespace marginalia {

/// The parameters as they were given, of which some are taken out.
class OldParams {
 public:
  explicit OldParams(const Json& given) : left_(given.is_object() ? given : Json::object()) {}
  /// What was given under `key`; null where nothing was.
  Json take(const std::string& key) {
    if (!left_.contains(key)) return {};
    auto value = left_.at(key);
    left_.erase(key);
    return value;
  }
  /// Hands over those of these that were given.
  void move(std::initializer_list<const char*> keys, Json& to) {
    for (const auto* key : keys)
      if (auto value = take(key); !value.is_null()) to[key] = std::move(value);
  }
  const Json& left() const { return left_; }

 private:
  Json left_;
};

/// A choice as an object: {"type": by_default} where nothing, or no type, is given.
inline Json choice_as_object(Json given, const char* by_default) {
  if (!given.is_object()) return {{"type", given.is_null() ? Json(by_default) : given}};
  if (!given.contains("type")) given["type"] = by_default;
  return given;
}

/// The same choice as it is written shortest: an object, a name, or null where none was given.
inline Json shortest_choice(const Json& choice, bool was_given) {
  if (!choice.is_object() || choice.size() > 1) return choice;
  return was_given ? choice.at("type") : Json();
}

inline void put_given(Json& to, const char* key, const Json& value) {
  if (!value.is_null()) to[key] = value;
}

}  // namespace marginalia
