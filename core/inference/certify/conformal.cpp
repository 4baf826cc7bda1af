#include <nlohmann/json.hpp>

#include <marginalia/inference/conformal.h>

namespace marginalia {

std::optional<double> ConformalRadii::radius(std::int64_t size) const {
  for (const auto& bin : bins)
    if (size >= bin.from && size <= bin.to && std::isfinite(bin.radius)) return bin.radius;
  return std::nullopt;
}

Json ConformalRadii::to_json() const {
  Json radii = Json::array();
  for (const auto& bin : bins)
    radii.push_back({{"from", bin.from},
                     {"to", bin.to},
                     {"radius", json_number(bin.radius)},
                     {"count", bin.count}});
  return {{"confidence", confidence}, {"law", law}, {"radii", std::move(radii)}};
}

std::optional<ConformalRadii> ConformalRadii::from_json(const Json& json) {
  const auto has = [](const Json& object, const char* key, auto is_kind) {
    const auto found = object.find(key);
    return found != object.end() && is_kind(*found);
  };
  const auto number = [](const Json& value) { return value.is_number(); };
  const auto text = [](const Json& value) { return value.is_string(); };
  const auto list = [](const Json& value) { return value.is_array(); };
  if (!json.is_object() || !has(json, "confidence", number) || !has(json, "law", text) ||
      !has(json, "radii", list))
    return std::nullopt;
  ConformalRadii read{.confidence = json.at("confidence").get<double>(),
                      .law = json.at("law").get<std::string>()};
  for (const auto& bin : json.at("radii")) {
    if (!bin.is_object() || !has(bin, "from", number) || !has(bin, "to", number) ||
        !has(bin, "count", number) || !bin.contains("radius"))
      return std::nullopt;
    const auto& radius = bin.at("radius");  // "inf" where too few queries were seen
    read.bins.push_back({bin.at("from").get<std::int64_t>(), bin.at("to").get<std::int64_t>(),
                         radius.is_number() ? radius.get<double>() : INFINITY,
                         bin.at("count").get<std::int64_t>()});
  }
  return read;
}

}  // namespace marginalia
