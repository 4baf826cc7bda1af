#include <algorithm>
#include <iterator>

#include <nlohmann/json.hpp>

#include <marginalia/measurement.h>

namespace marginalia {
namespace {

constexpr std::string_view kBetter[] = {"neither", "lower", "higher"};
constexpr std::string_view kPlots[] = {"none", "by size", "pairs", "reliability", "time", "graph"};
constexpr std::string_view kColumns[] = {"own", "shared", "aside"};

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

/// The value of an enumeration that `name` stands for; the first for one that it does not have.
template <class Enum, std::size_t N>
Enum named(const std::string_view (&names)[N], const std::string& name) {
  const auto* const found = std::ranges::find(names, name);
  return found == std::end(names) ? Enum{} : Enum(found - std::begin(names));
}

}  // namespace

std::string_view to_string(Better better) {
  return kBetter[int(better)];
}
std::string_view to_string(PlotKind plot) {
  return kPlots[int(plot)];
}
std::string_view to_string(ColumnKind column) {
  return kColumns[int(column)];
}

Json to_json(const std::vector<MeasurementInfo>& measurements) {
  Json all = Json::array();
  for (const auto& m : measurements)
    all.push_back({{"estimator", m.estimator},
                   {"label", m.label},
                   {"meaning", m.meaning},
                   {"unit", m.unit},
                   {"better", to_string(m.better)},
                   {"plot", to_string(m.plot)},
                   {"column", to_string(m.column)}});
  return all;
}

std::vector<MeasurementFacts> parse_measurement_facts(const Json& json) {
  std::vector<MeasurementFacts> all;
  for (const auto& one : json)
    if (one.is_object())
      all.push_back({text(one, "estimator"), text(one, "label"), text(one, "meaning"),
                     text(one, "unit"), named<Better>(kBetter, text(one, "better")),
                     named<PlotKind>(kPlots, text(one, "plot")),
                     named<ColumnKind>(kColumns, text(one, "column"))});
  return all;
}

}  // namespace marginalia
