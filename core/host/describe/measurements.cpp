#include "measurements.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sdk/base/text.h"

namespace marginalia {

Json collect_measurement_facts(const Registry& registry) {
  Json facts = Json::object();
  for (const auto* d : registry.descriptions())
    if (!d->measurements.empty()) facts[d->name] = to_json(d->measurements);
  return facts;
}

/// A bar would end the cell.
static std::string cell(const char* text) {
  return replaced(text, "|", "\\|");
}

std::string measurement_table(const Description& metric) {
  if (metric.measurements.empty()) return "";
  std::string text =
      "| measurement | what it is | unit | better | column |\n|---|---|---|---|---|\n";
  for (const auto& m : metric.measurements)
    text += fmt::format(
        "| `{}` | {}: {} | {} | {} | {} |\n", m.estimator, cell(m.label), cell(m.meaning),
        cell(m.unit), m.better == Better::kNeither ? "" : to_string(m.better), to_string(m.column));
  return text + "\n";
}

}  // namespace marginalia
