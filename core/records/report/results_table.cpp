#include "results_table.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace marginalia {
namespace {

/// Metric, estimator, value, standard error, unit, status.
using ResultLine = std::array<std::string, 6>;

bool has_number(const Json& measured, const char* key) {
  return measured.contains(key) && measured.at(key).is_number();
}
double number_at(const Json& measured, const char* key) {
  return measured.at(key).get<double>();
}

/// ">= ", "<= " of a bound that holds with a confidence; "" of what has two sides or none.
std::string side_text(const Json& measured) {
  if (!has_number(measured, "confidence")) return "";
  const bool lower = has_number(measured, "lower"), upper = has_number(measured, "upper");
  if (lower == upper) return "";
  return lower ? ">= " : "<= ";
}

std::string value_text(const Json& measured) {
  const auto& value = measured.at("value");
  if (value.is_number()) return side_text(measured) + fmt::format("{:.6g}", value.get<double>());
  return value.is_string() ? value.get<std::string>() : "-";
}

/// The standard error; of an interval its ends, and how sure they are.
std::string error_text(const Json& measured) {
  if (has_number(measured, "stderr")) return fmt::format("{:.2g}", number_at(measured, "stderr"));
  if (!has_number(measured, "confidence") || measured.value("status", "") == "exact") return "";
  const auto sure = fmt::format("{:.4g} %", 100 * number_at(measured, "confidence"));
  if (!side_text(measured).empty()) return sure;
  if (!has_number(measured, "lower")) return "";
  return fmt::format("{:.6g} to {:.6g}, {}", number_at(measured, "lower"),
                     number_at(measured, "upper"), sure);
}

ResultLine result_line(const std::string& metric, const std::string& estimator,
                       const Json& measured, const MetricFacts& facts) {
  const auto error = facts.error_label(metric + "/" + estimator);
  return {metric,
          error.empty() ? estimator : error,
          value_text(measured),
          error_text(measured),
          measured.value("unit", ""),
          measured.value("status", "")};
}

}  // namespace

std::string results_table(const Json& metrics, const MetricFacts& facts) {
  std::vector<ResultLine> lines{{"metric", "estimator", "value", "stderr", "unit", "status"}};
  for (const auto& [metric, by] : metrics.items())
    for (const auto& [estimator, measured] : by.items())
      lines.push_back(result_line(metric, estimator, measured, facts));
  std::array<std::size_t, 5> widths{18, 12, 14, 11, 10};  // at least
  for (const auto& line : lines)
    for (std::size_t c = 0; c < widths.size(); ++c)
      widths[c] = std::max(widths[c], line[c].size());
  std::string text;
  for (const auto& [metric, estimator, value, error, unit, status] : lines)
    text += fmt::format("{:<{}} {:<{}} {:>{}} {:>{}}  {:<{}} {}\n", metric, widths[0], estimator,
                        widths[1], value, widths[2], error, widths[3], unit, widths[4], status);
  return text;
}

}  // namespace marginalia
