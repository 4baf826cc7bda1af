#include "comparison_cells.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace marginalia::comparison {
namespace {

/// Whether the measurements of a metric are ways to one number, which compare only in one way.
bool is_shared(const std::string& key, const MetricFacts& facts) {
  return facts.has_column(parse_metric(key), ColumnKind::kShared);
}

/// Whether what is exact is so whoever says it: not where it may be what is known beside the model.
bool exact_stands_for_all(const std::string& key, const MetricFacts& facts) {
  return !facts.has_column(parse_metric(key), ColumnKind::kAside);
}

/// What stands in column `key` for an experiment; null for nothing. preferred: the key that the
/// other runs of its row have, or "".
const Measurement* measurement_in(const std::vector<Measurement>& all, const std::string& key,
                                  const std::string& preferred, const MetricFacts& facts) {
  if (const auto* found = find(all, key)) return found;
  if (exact_stands_for_all(key, facts))
    for (const auto& one : all)
      if (parse_metric(one.key) == parse_metric(key) && one.status == "exact") return &one;
  if (const auto* found = find(all, preferred)) return found;
  return find(all, key_in(list_keys(all), key, facts));
}

/// "exact" of whatever exact way to a shared number.
std::string estimator_in(const Measurement& one, const MetricFacts& facts) {
  if (one.status == "exact" && is_shared(one.key, facts) && exact_stands_for_all(one.key, facts))
    return "exact";
  return parse_estimator(one.key);
}

std::string why_not_measured(const Experiment& e, const std::string& metric) {
  const auto said = std::ranges::find(e.unavailable, metric, &UnavailableMetric::metric);
  return said == e.unavailable.end() ? "not measured" : said->why;
}

/// Adds the number of a finished run, or why there is none.
void add_value(Stratum& stratum, const Experiment& e, const std::string& key,
               const std::string& preferred, const MetricFacts& facts) {
  Value value{&e, NAN, {}, "", "", ""};
  if (const auto* cost = cost_called(key)) {
    value.value = e.costs.*cost->total;
  } else if (const auto* found = measurement_in(e.measurements, key, preferred, facts)) {
    value = {&e,         found->value, found->error, estimator_in(*found, facts), found->status,
             found->unit};
    if (!std::isfinite(value.value)) stratum.why = "not finite in " + e.name;
  } else {
    stratum.why = why_not_measured(e, parse_metric(key));
  }
  if (std::isfinite(value.value)) stratum.values.push_back(std::move(value));
}

Summary stratum_summary(const Stratum& stratum) {
  std::vector<double> numbers;
  for (const auto& value : stratum.values)
    numbers.push_back(value.value);
  return summarise(numbers);
}

/// Each stratum of a cell, with what it is called there.
struct Named {
  std::string name;
  const Stratum* stratum;
};
std::vector<Named> named_strata(const Blocks& blocks) {
  std::vector<Named> all;
  for (const auto& block : blocks)
    for (const auto& stratum : block.strata) {
      const bool alone = blocks.size() > 1 && block.strata.size() == 1;
      const bool apart = blocks.size() > 1 && block.strata.size() > 1;
      all.push_back({alone   ? block.at
                     : apart ? block.at + ", " + stratum.name
                             : stratum.name,
                     &stratum});
    }
  return all;
}

std::string why_empty(const Stratum& stratum) {
  return stratum.why.empty() ? "no finished run" : stratum.why;
}

/// The columns, or strata, without a value, and why the first of them is so.
void add_lacks(Cell& cell, const Blocks& blocks) {
  for (const auto& block : blocks) {
    if (average(block)) continue;
    const auto empty = std::ranges::find_if(
        block.strata, [](const Stratum& stratum) { return stratum.values.empty(); });
    const auto why = empty == block.strata.end() ? "no run" : why_empty(*empty);
    if (cell.why.empty()) cell.why = why;
    if (blocks.size() > 1) cell.lacks.push_back(block.at);
    for (const auto& stratum : block.strata)
      if (blocks.size() == 1 && block.strata.size() > 1 && stratum.values.empty())
        cell.lacks.push_back(stratum.name);
  }
  if (!cell.lacks.empty()) cell.why = fmt::format("lacks {}: {}", some(cell.lacks), cell.why);
}

/// Of a mean: why it has no error, and why it is of fewer runs than there are.
std::string why_less(const Blocks& blocks, const Summary& summary) {
  std::vector<std::string> single, reasons;
  const auto strata = named_strata(blocks);
  for (const auto& [name, stratum] : strata) {
    if (stratum->values.size() == 1) single.push_back(name);
    if (!stratum->why.empty()) reasons.push_back(stratum->why);
  }
  if (reasons.size() > 1) reasons.resize(1);
  if (strata.size() > 1 && !summary.error)
    reasons.insert(reasons.begin(), "no error: a single run at " + some(single));
  return fmt::format("{}", fmt::join(reasons, "; "));
}

/// What all values say; of bounds and exact numbers, a bound; else "mixed".
std::string common_status(const std::set<std::string>& said) {
  if (said.size() == 1) return *said.begin();
  for (const auto* bound : {"upper", "lower"})
    if (said == std::set<std::string>{bound, "exact"}) return bound;
  return said.empty() ? "" : "mixed";
}

void add_values(Cell& cell, const Blocks& blocks) {
  std::vector<std::string> estimators;
  std::set<std::string> statuses;
  for (const auto& [_, stratum] : named_strata(blocks))
    for (const auto& value : stratum->values) {
      cell.values.push_back({value.experiment->name, value.value});
      statuses.insert(value.status);
      if (!std::ranges::count(estimators, value.estimator)) estimators.push_back(value.estimator);
      cell.own_error = value.error;
    }
  if (cell.values.size() != 1) cell.own_error.reset();
  cell.estimator = fmt::format("{}", fmt::join(estimators, ", "));
  cell.status = common_status(statuses);
}

/// Paired differences within one stratum.
struct Differences {
  Summary summary;
  double size = 0;  ///< of the largest number
  bool alike = true;
};
Differences compute_differences(const Stratum& a, const Stratum& b) {
  Differences made;
  std::vector<double> all;
  for (const auto& one : a.values)
    for (const auto& other : b.values)
      if (one.experiment->pair.at("seed") == other.experiment->pair.at("seed")) {
        all.push_back(one.value - other.value);
        made.size = std::max({made.size, std::abs(one.value), std::abs(other.value)});
        made.alike = made.alike && one.estimator == other.estimator;
      }
  made.summary = summarise(all);
  return made;
}

/// Of all strata of a block; none where one has no pairs.
std::optional<Differences> compute_differences(const Block& a, const Block& b) {
  Differences made;
  std::vector<Summary> strata;
  for (const auto& one : a.strata) {
    const auto found =
        compute_differences(one, *std::ranges::find(b.strata, one.key, &Stratum::key));
    if (found.summary.n == 0) return std::nullopt;
    strata.push_back(found.summary);
    made.size = std::max(made.size, found.size);
    made.alike = made.alike && found.alike;
  }
  if (strata.empty()) return std::nullopt;
  made.summary = mean_of_strata(strata);
  return made;
}

Test untested(std::string why) {
  Test test;
  test.paired.untested = std::move(why);
  return test;
}

std::string list_estimators(const Blocks& blocks) {
  return to_words(make_cell(blocks).estimator);
}

}  // namespace

const Cost* cost_called(const std::string& key) {
  const auto* found = std::ranges::find(kCosts, key, &Cost::key);
  return found == kCosts.end() ? nullptr : found;
}

Blocks make_blocks(const std::vector<Part>& parts, const std::string& row, const std::string& key,
                   const Request& request) {
  std::vector<Keys> runs;
  for (const auto& part : parts)
    for (const auto* e : part.finished(row))
      runs.push_back(list_keys(e->measurements));
  const auto preferred = cost_called(key) ? "" : common_key(runs, key, request.facts);
  Blocks blocks;
  for (const auto& part : parts) {
    auto& block = blocks.emplace_back(Block{part.value});
    for (const auto* e : part.experiments) {
      if (e->row != row) continue;
      const auto id = stratum_key(*e);
      auto stratum = std::ranges::find(block.strata, id, &Stratum::key);
      if (stratum == block.strata.end())
        stratum = block.strata.insert(stratum, {id, stratum_name(*e, request.columns())});
      if (e->is_finished()) add_value(*stratum, *e, key, preferred, request.facts);
    }
  }
  return blocks;
}

std::optional<Summary> average(const Block& block) {
  std::vector<Summary> means;
  for (const auto& stratum : block.strata) {
    if (stratum.values.empty()) return std::nullopt;
    means.push_back(stratum_summary(stratum));
  }
  if (means.empty()) return std::nullopt;
  return mean_of_strata(means);
}

std::string signature(const Block& block) {
  std::set<std::string> keys;
  for (const auto& stratum : block.strata)
    keys.insert(stratum.key);
  return fmt::format("{}: {}", block.at, fmt::join(keys, "; "));
}

std::string signature(const Blocks& blocks) {
  std::string text;
  for (const auto& block : blocks)
    text += signature(block) + "\n";
  return text;
}

Cell make_cell(const Blocks& blocks) {
  Cell cell;
  add_values(cell, blocks);
  add_lacks(cell, blocks);
  if (!cell.why.empty()) return cell;
  std::vector<Summary> means;
  for (const auto& block : blocks)
    means.push_back(*average(block));
  cell.summary = mean_of_strata(means);
  cell.why = why_less(blocks, *cell.summary);
  return cell;
}

Test test_difference(const Blocks& a, const Blocks& b, bool like_with_like) {
  if (signature(a) != signature(b)) return untested("other targets");
  std::vector<Summary> means;
  double size = 0;
  bool alike = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto found = compute_differences(a[i], b[i]);
    if (!found) return untested(kNoPairs);
    means.push_back(found->summary);
    size = std::max(size, found->size);
    alike = alike && found->alike;
  }
  const auto difference = mean_of_strata(means);
  if (alike || !like_with_like) return {t_test(difference, size), {}};
  auto test = untested(
      fmt::format("not tested: {} here, {} there", list_estimators(a), list_estimators(b)));
  test.paired.difference = difference;
  return test;
}

}  // namespace marginalia::comparison
