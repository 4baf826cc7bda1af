#include "run_keys.h"

#include <algorithm>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "sdk/base/text.h"

namespace marginalia::app {
namespace {

/// What stands below an object at these keys, one after the other; null where nothing does.
const Json* find_below(const Json& object, const std::vector<std::string>& keys) {
  const Json* node = &object;
  for (const auto& key : keys) {
    if (!node->is_object() || !node->contains(key)) return nullptr;
    node = &node->at(key);
  }
  return node;
}

const Json* find_key(const Json& object, const std::string& dotted) {
  std::vector<std::string> keys;
  std::stringstream parts(dotted);
  for (std::string part; std::getline(parts, part, '.');)
    keys.push_back(part);
  return find_below(object, keys);
}

/// Adds all dotted keys of an object.
void add_keys(const Json& object, const std::string& before, std::set<std::string>& keys) {
  for (const auto& [key, value] : object.items()) {
    keys.insert(before + key);
    if (value.is_object()) add_keys(value, before + key + ".", keys);
  }
}

/// The names of the metrics that a spec asks for.
std::set<std::string> list_metrics(const Json& spec) {
  std::set<std::string> names;
  for (const auto* key : {"evaluation.metrics", "evaluation.during"})
    if (const auto* const metrics = find_key(spec, key); metrics && metrics->is_array())
      for (const auto& metric : *metrics)
        if (const auto name = metric.is_object() ? metric.value("type", Json()) : metric;
            name.is_string())
          names.insert(name.get<std::string>());
  return names;
}

/// Whether a run may have a key at its end that it has not yet.
bool will_have(const Json& run, const std::string& key) {
  static const std::set<std::string> at_the_end{
      "steps",          "train_seconds",      "energy_evaluations",
      "network_passes", "evaluation_seconds", "error"};
  const auto slash = key.find('/');
  if (slash == std::string::npos) return at_the_end.contains(key);
  const auto metric = key.substr(0, slash);
  return list_metrics(run.at("spec")).contains(metric) &&
         !find_below(run, {"evaluation", "metrics", metric});
}

/// The key of some run that ends so, else the nearest; "" where none is near.
std::string meant_by(const std::string& key, const std::vector<Json>& runs) {
  std::set<std::string> keys;
  for (const auto& run : runs) {
    add_keys(run.at("spec"), "", keys);
    add_keys(run, "", keys);
    const auto* const metrics = find_key(run, "evaluation.metrics");
    if (!metrics || !metrics->is_object()) continue;
    for (const auto& [metric, figures] : metrics->items())
      for (const auto& [estimator, _] : figures.items())
        keys.insert(metric + "/" + estimator);
  }
  for (const auto& known : keys)
    if (known.ends_with("." + key)) return known;
  return nearest(key, {keys.begin(), keys.end()});
}

}  // namespace

const Json* find_in(const Json& run, const std::string& key) {
  if (const auto slash = key.find('/'); slash != std::string::npos)
    return find_below(
        run, {"evaluation", "metrics", key.substr(0, slash), key.substr(slash + 1), "value"});
  const auto* const in_spec = find_key(run.at("spec"), key);
  if (in_spec && !in_spec->is_null()) return in_spec;
  const auto* const in_record = find_key(run, key);
  return in_record ? in_record : in_spec;
}

void check_keys(const std::vector<Json>& runs, const std::vector<std::string>& keys) {
  if (runs.empty()) return;
  for (const auto& key : keys) {
    const auto has = [&](const Json& run) { return find_in(run, key) || will_have(run, key); };
    if (std::ranges::any_of(runs, has)) continue;
    const auto meant = meant_by(key, runs);
    throw SpecError(
        fmt::format("no run here has \"{}\"{}\n  a key is one of a spec, as energy.side, one of "
                    "run.json, as steps, or a metric and its estimator, as ess/importance",
                    key, meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant)));
  }
}

}  // namespace marginalia::app
