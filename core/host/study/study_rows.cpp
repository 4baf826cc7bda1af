#include "study_rows.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

#include "records/study/baselines.h"

namespace marginalia::study {
namespace {

/// Keys that vary, each with those that change together with it.
using Varying = std::map<std::string, std::vector<std::string>>;

Varying of_axes(const Manifest& manifest) {
  Varying keys;
  for (const auto& axis : manifest.axes())
    for (const auto& key : axis.keys)
      keys[key] = axis.keys;
  return keys;
}

Varying all_varying(const Study& study, const Manifest& manifest) {
  auto keys = of_axes(manifest);
  for (const auto& e : study.experiments)
    for (const auto& [key, _] : e.settings.items())
      keys.try_emplace(key, std::vector<std::string>{key});
  return keys;
}

std::vector<std::string> default_rows(const Manifest& manifest, const CompareParams& compare) {
  std::vector<std::string> rows;
  if (manifest.has("variants") || manifest.has("experiments")) rows.push_back("variant");
  for (const auto& axis : manifest.axes())
    if (axis.keys.front() != "seed" && !std::ranges::count(axis.keys, compare.columns) &&
        !std::ranges::count(axis.keys, compare.against))
      rows.push_back(axis.keys.front());
  return rows;
}

/// Values of one key as words; two values never share theirs.
class Texts {
 public:
  std::string of(const Json& value) {
    const auto [at, is_new] = texts_.try_emplace(value.dump());
    if (!is_new) return at->second;
    const auto stem = short_value(value);
    auto text = stem;
    for (int n = 2; std::ranges::count(taken_, text); ++n)
      text = fmt::format("{} ({})", stem, n);
    taken_.push_back(text);
    return at->second = text;
  }

 private:
  std::map<std::string, std::string> texts_;  // by the value's JSON
  std::vector<std::string> taken_;
};

}  // namespace

CompareParams read_compare(const Manifest& manifest, Faults& faults) {
  CompareParams compare;
  auto json = manifest.json().value("compare", Json::object());
  if (json.is_object() && json.contains("rows") && json.at("rows").is_string())
    json["rows"] = Json::array({json.at("rows")});
  Spec::from_text(json.dump(), manifest.where() + ": /compare")
      .read(
          "compare", [&](ParamVisitor& p) { compare.visit(p); }, nullptr, false, faults);
  return compare;
}

void name_rows(Study& study, const Manifest& manifest, Faults& faults) {
  const auto varying = all_varying(study, manifest), axes = of_axes(manifest);
  auto& rows = study.compare.rows;
  if (rows.empty()) rows = default_rows(manifest, study.compare);
  std::vector<std::string> known{"variant"};
  for (const auto& [key, _] : varying)
    known.push_back(key);
  for (const auto& row : rows)
    if (!std::ranges::count(known, row))
      faults.add(fmt::format("{}: /compare: \"rows\": {}", manifest.where(),
                             unknown_name("key that varies", row, known)));
  faults.throw_if_any();
  std::set<std::string> in_rows;
  for (const auto& row : rows)
    if (row != "variant") in_rows.insert(varying.at(row).begin(), varying.at(row).end());

  std::map<std::string, Texts> texts;        // by key
  std::map<std::string, std::string> first;  // row and pair -> experiment
  for (auto& e : study.experiments) {
    std::vector<std::string> words;
    for (const auto& row : rows) {
      if (row == "variant") words.push_back(e.variant.empty() ? study.name : e.variant);
      if (e.settings.contains(row))
        words.push_back(short_key(row, known) + " " + texts[row].of(e.settings.at(row)));
    }
    e.row = words.empty() ? study.name : fmt::format("{}", fmt::join(words, ", "));
    e.pair["seed"] = e.spec.at("seed");
    for (const auto& [key, _] : axes)
      if (!in_rows.contains(key) && e.settings.contains(key)) e.pair[key] = e.settings.at(key);
    if (const auto [twin, is_new] = first.emplace(e.row + e.pair.dump(), e.name); !is_new)
      faults.add(fmt::format("{}: /compare: {} and {} fall into one row, \"{}\", at the same {}; "
                             "name in \"rows\" what sets them apart",
                             manifest.where(), twin->second, e.name, e.row, e.pair.dump()));
  }
}

/// A row, or a variant that makes rows of its own, of which each row knows which is meant.
static void check_baseline(const Study& study, const std::string& where, Faults& faults) {
  const auto& asked = study.compare.baseline;
  if (asked.empty()) return;
  auto known = study.row_names();
  for (const auto& e : study.experiments)
    if (!e.variant.empty() && !std::ranges::count(known, e.variant)) known.push_back(e.variant);
  if (!std::ranges::count(known, asked))
    return faults.add(fmt::format("{}: /compare: \"baseline\": {}", where,
                                  unknown_name("row or variant", asked, known)));
  const auto all = baselines(study);
  if (std::ranges::all_of(all, [](const auto& one) {
        return one.second.row.empty() && one.second.ambiguous.empty();
      }))
    return faults.add(fmt::format("{}: /compare: \"baseline\": the variant \"{}\" has no row of "
                                  "its own; name \"variant\" in \"rows\", or a row: \"{}\"",
                                  where, asked, fmt::join(study.row_names(), "\", \"")));
  for (const auto& [row, baseline] : all)
    if (!baseline.ambiguous.empty())
      return faults.add(fmt::format("{}: /compare: \"baseline\": of \"{}\" there are {} at the "
                                    "target of \"{}\"; give the full name of one",
                                    where, asked, baseline.ambiguous, row));
}

/// Whether a key varies within a row.
static void check_key(const Study& study, const char* name, const std::string& asked,
                      const std::string& where, Faults& faults) {
  std::vector<std::string> keys;
  for (const auto& [key, _] : study.experiments.front().pair.items())
    keys.push_back(key);
  if (!asked.empty() && !std::ranges::count(keys, asked))
    faults.add(fmt::format("{}: /compare: \"{}\": {}", where, name,
                           unknown_name("key that varies within a row", asked, keys)));
}

static void check_against(const Study& study, const std::string& where, Faults& faults) {
  const auto& key = study.compare.against;
  check_key(study, "against", key, where, faults);
  for (const auto& e : study.experiments)
    if (e.pair.contains(key) && !e.pair.at(key).is_number())
      return faults.add(
          fmt::format("{}: /compare: \"against\": \"{}\" must be a number everywhere, "
                      "not {} as in {}",
                      where, key, e.pair.at(key).dump(), e.name));
}

void check_compare(const Study& study, const Manifest& manifest, Faults& faults) {
  const auto& compare = study.compare;
  check_baseline(study, manifest.where(), faults);
  check_key(study, "columns", compare.columns, manifest.where(), faults);
  check_against(study, manifest.where(), faults);
  std::vector<std::string> measured{"parameters", "steps", "seconds", "energy_evaluations",
                                    "passes"};
  for (const auto& e : study.experiments)
    for (const auto* list : {"metrics", "during"})
      for (const auto& metric : e.spec.at("evaluation").at(list))
        if (const auto name = metric.at("type").get<std::string>();
            !std::ranges::count(measured, name))
          measured.push_back(name);
  auto asked = compare.metrics;
  if (!compare.scaling.metric.empty()) asked.push_back(compare.scaling.metric);
  for (const auto& metric : asked)
    if (const auto name = metric.substr(0, metric.find('/')); !std::ranges::count(measured, name))
      faults.add(fmt::format("{}: /compare: {}", manifest.where(),
                             unknown_name("metric that is measured here", name, measured)));
}

}  // namespace marginalia::study
