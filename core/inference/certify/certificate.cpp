#include <cmath>

#include <nlohmann/json.hpp>

#include <marginalia/inference/certificate.h>

namespace marginalia {
namespace {

Json bound(double value) {
  if (std::isfinite(value)) return value;
  return Json();
}

}  // namespace

Json Certificate::to_json() const {
  Json json{{"log_marginal", bound(log_marginal)},
            {"lower", bound(lower)},
            {"upper", bound(upper)},
            {"confidence", confidence},
            {"passes", passes},
            {"route", route}};
  if (exact() && log_marginal == -INFINITY)
    json["log_marginal"] = json["lower"] = json["upper"] = "-inf";
  if (!upper_by.empty()) json["upper_by"] = upper_by;
  if (!stopped.empty()) json["stopped"] = stopped;
  if (samples > 0) json["samples"] = samples;
  if (!reason.empty()) json["reason"] = reason;
  return json;
}

Certificate Certificate::from_json(const Json& json) {
  Certificate certificate;
  const auto number = [&](const char* key, double otherwise) {
    const auto it = json.find(key);
    if (it == json.end()) return otherwise;
    if (*it == "-inf") return -double(INFINITY);
    return it->is_number() ? it->get<double>() : otherwise;
  };
  certificate.log_marginal = number("log_marginal", NAN);
  certificate.lower = number("lower", -INFINITY);
  certificate.upper = number("upper", INFINITY);
  certificate.confidence = number("confidence", 0);
  certificate.passes = number("passes", 0);
  certificate.samples = std::int64_t(number("samples", 0));
  for (const auto& [key, field] : {std::pair{"route", &Certificate::route},
                                   {"upper_by", &Certificate::upper_by},
                                   {"stopped", &Certificate::stopped},
                                   {"reason", &Certificate::reason}})
    certificate.*field = json.value(key, "");
  return certificate;
}

}  // namespace marginalia
