#include "measurement_facts.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace marginalia {
namespace {

/// "nll/masked" -> {"nll", "masked"}; "nll" -> {"nll", ""}
std::pair<std::string, std::string> split_key(const std::string& key) {
  const auto slash = key.find('/');
  if (slash == std::string::npos) return {key, ""};
  return {key.substr(0, slash), key.substr(slash + 1)};
}

/// How well a declared name fits an estimator: 0 not at all, then the more the longer.
std::size_t fit(const std::string& declared, const std::string& estimator) {
  if (declared == estimator) return declared.size() + 2;
  if (declared.empty() || declared.back() != '*') return 0;
  const auto beginning = declared.substr(0, declared.size() - 1);
  return estimator.starts_with(beginning) ? beginning.size() + 1 : 0;
}

}  // namespace

MetricFacts::MetricFacts(Json json) : json_(std::move(json)) {
  if (!json_.is_object()) json_ = Json::object();
  for (const auto& [metric, measurements] : json_.items())
    if (auto facts = parse_measurement_facts(measurements); !facts.empty())
      by_metric_.emplace(metric, std::move(facts));
}

MetricFacts MetricFacts::with(const MetricFacts& others) const {
  auto json = json_;
  for (const auto& [metric, measurements] : others.json_.items())
    if (!json.contains(metric)) json[metric] = measurements;
  return MetricFacts(std::move(json));
}

Json MetricFacts::of(const std::vector<std::string>& metrics) const {
  Json some = Json::object();
  for (const auto& metric : metrics)
    if (by_metric_.contains(metric)) some[metric] = json_.at(metric);
  return some;
}

const std::vector<MeasurementFacts>& MetricFacts::declared(const std::string& metric) const {
  static const std::vector<MeasurementFacts> none;
  const auto found = by_metric_.find(metric);
  return found == by_metric_.end() ? none : found->second;
}

const MeasurementFacts* MetricFacts::find(const std::string& key) const {
  const auto [metric, estimator] = split_key(key);
  const MeasurementFacts* best = nullptr;
  std::size_t most = 0;
  for (const auto& one : declared(metric))
    if (const auto fits = fit(one.estimator, estimator); fits > most) {
      best = &one;
      most = fits;
    }
  return best;
}

Better MetricFacts::better(const std::string& key) const {
  const auto [metric, estimator] = split_key(key);
  if (!estimator.empty()) {
    const auto* facts = find(key);
    return facts ? facts->better : Better::kNeither;
  }
  const auto& all = declared(metric);
  const bool agree = !all.empty() && std::ranges::all_of(all, [&](const MeasurementFacts& one) {
    return one.better == all.front().better;
  });
  return agree ? all.front().better : Better::kNeither;
}

std::string MetricFacts::error_label(const std::string& key) const {
  constexpr std::string_view kErrorOf = "error of ";
  const auto* facts = find(key);
  auto words = split_key(key).second;
  if (!facts || words.empty() || !facts->label.starts_with(kErrorOf)) return "";
  std::ranges::replace(words, '_', ' ');
  return std::string(kErrorOf) + words;
}

PlotKind MetricFacts::plot(const std::string& key) const {
  const auto* facts = find(key);
  return facts ? facts->plot : PlotKind::kNone;
}

ColumnKind MetricFacts::column(const std::string& key) const {
  const auto* facts = find(key);
  return facts ? facts->column : ColumnKind::kOwn;
}

bool MetricFacts::has_column(const std::string& metric, ColumnKind kind) const {
  return std::ranges::count(declared(metric), kind, &MeasurementFacts::column) > 0;
}

std::size_t MetricFacts::rank(const std::string& key) const {
  const auto& all = declared(split_key(key).first);
  const auto* facts = find(key);
  return facts ? std::size_t(facts - all.data()) : all.size();
}

}  // namespace marginalia
