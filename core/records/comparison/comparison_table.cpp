/// \file
/// The table of a comparison. A cell is the mean over the runs of a row with its standard error;
/// two rows are compared by Student's t test of the paired differences over what they share (the
/// seed, first of all), corrected for the number of tests by Holm's rule. The best of a column is
/// marked as such only if it differs from every other row significantly, all pairs counted.
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

std::vector<std::string> asked_for(const std::vector<Experiment>& experiments,
                                   const CompareParams& compare) {
  if (!compare.metrics.empty()) return compare.metrics;
  std::vector<std::string> all;
  for (const auto& e : experiments)
    for (const auto& measurement : e.measurements)
      if (const auto metric = parse_metric(measurement.key); !std::ranges::count(all, metric))
        all.push_back(metric);
  return all;
}

/// The cost of a key; null where it is a metric's.
const Cost* cost_called(const std::string& key) {
  const auto* found = std::ranges::find(kCosts, key, &Cost::key);
  return found == kCosts.end() ? nullptr : found;
}

/// What stands in column `key` for an experiment; null for nothing. A measurement that is exact is
/// the same by whatever estimator, unless it may be of what is known beside the model.
const Measurement* measurement_in(const std::vector<Measurement>& all, const std::string& key,
                                  const MetricFacts& facts) {
  if (const auto* found = find(all, key)) return found;
  const auto metric = parse_metric(key);
  if (!facts.has_column(metric, ColumnKind::kAside))
    for (const auto& one : all)
      if (parse_metric(one.key) == metric && one.status == "exact") return &one;
  return find(all, key_in(list_keys(all), key, facts));
}

/// One number of one experiment.
struct Value {
  const Experiment* experiment;
  double value;
  std::optional<double> error;
  std::string estimator, status, unit;
};

std::string why_not_measured(const Experiment& e, const std::string& metric) {
  const auto said = std::ranges::find(e.unavailable, metric, &UnavailableMetric::metric);
  return said == e.unavailable.end() ? "not measured" : said->why;
}

/// The numbers of `row` in a column, and why there are fewer than experiments.
std::vector<Value> collect_values(const Part& part, const std::string& row, const std::string& key,
                                  const MetricFacts& facts, std::string& why) {
  std::vector<Value> values;
  for (const auto* e : part.finished(row)) {
    Value value{e, NAN, {}, "", "", ""};
    if (const auto* cost = cost_called(key)) {
      value.value = e->costs.*cost->total;
    } else if (const auto* found = measurement_in(e->measurements, key, facts)) {
      value = {e,          found->value, found->error, parse_estimator(found->key), found->status,
               found->unit};
      if (!std::isfinite(value.value)) why = "not finite in " + e->name;
    } else {
      why = why_not_measured(*e, parse_metric(key));
    }
    if (std::isfinite(value.value)) values.push_back(std::move(value));
  }
  return values;
}

/// What all values say, or "mixed".
std::string common(const std::vector<Value>& values, std::string Value::*member) {
  std::string text = values.empty() ? "" : values.front().*member;
  for (const auto& value : values)
    if (value.*member != text) return "mixed";
  return text;
}

Cell make_cell(const std::vector<Value>& values, const std::string& why) {
  Cell cell;
  std::vector<double> numbers;
  for (const auto& value : values) {
    numbers.push_back(value.value);
    cell.values.push_back({value.experiment->name, value.value});
  }
  cell.summary = summarise(numbers);
  cell.estimator = common(values, &Value::estimator);
  cell.status = common(values, &Value::status);
  cell.why = values.empty() && why.empty() ? "no finished run" : why;
  if (!values.empty()) cell.own_error = values.front().error;
  return cell;
}

Test test_difference(const std::vector<Value>& a, const std::vector<Value>& b) {
  std::vector<double> left, right;
  for (const auto& one : a)
    for (const auto& other : b)
      if (one.experiment->pair == other.experiment->pair) {
        left.push_back(one.value);
        right.push_back(other.value);
      }
  return {paired_t_test(left, right), {}};
}

/// One column of the table, worked out.
struct WorkedColumn {
  Column head;
  std::vector<std::vector<Value>> values;  ///< by row
  std::vector<Cell> cells;                 ///< likewise
  std::vector<Pair> pairs;

  /// A cost that no run has is not shown.
  bool is_empty() const {
    return head.is_cost && std::ranges::all_of(values, [](const auto& row) {
             return std::ranges::all_of(row, [](const Value& v) { return v.value == 0; });
           });
  }
};

Column make_head(const std::string& key, const Part& part, const CompareParams& compare,
                 const MetricFacts& facts, const std::vector<std::vector<Value>>& values) {
  const auto better = find_better(key, compare, facts);
  if (const auto* cost = cost_called(key))
    return {
        .key = key, .label = cost->label, .unit = cost->unit, .better = better, .is_cost = true};
  const auto row = std::ranges::find_if(values, [](const auto& one) { return !one.empty(); });
  return {.key = part.value.empty() ? key : key + " of " + part.value,
          .label = part.name(to_label(key)),
          .unit = row == values.end() ? "" : common(*row, &Value::unit),
          .better = better};
}

void add_tests(WorkedColumn& column, std::size_t baseline) {
  const auto& values = column.values;
  for (std::size_t r = 0; r < values.size(); ++r)
    if (r != baseline) column.cells[r].difference = test_difference(values[r], values[baseline]);
  for (std::size_t a = 0; a < values.size(); ++a)
    for (std::size_t b = a + 1; b < values.size(); ++b)
      column.pairs.push_back({a, b, column.head.key, test_difference(values[a], values[b])});
}

/// A column of all experiments, or of those of a part.
WorkedColumn make_column(const Part& part, const std::vector<std::string>& rows,
                         const std::string& key, const CompareParams& compare,
                         const MetricFacts& facts) {
  WorkedColumn column;
  for (const auto& row : rows) {
    std::string why;
    column.values.push_back(collect_values(part, row, key, facts, why));
    column.cells.push_back(make_cell(column.values.back(), why));
  }
  column.head = make_head(key, part, compare, facts, column.values);
  const auto named = std::ranges::find(rows, compare.baseline);
  const auto baseline = named == rows.end() ? std::size_t{0} : std::size_t(named - rows.begin());
  if (!column.head.is_cost) add_tests(column, baseline);
  return column;
}

std::vector<WorkedColumn> columns_asked_for(const std::vector<Experiment>& experiments,
                                            const std::vector<std::string>& rows,
                                            const CompareParams& compare,
                                            const MetricFacts& facts) {
  std::vector<Keys> keys;
  for (const auto& e : experiments)
    keys.push_back(list_keys(e.measurements));
  auto parts = parted(experiments, compare.columns);
  parts.insert(parts.begin(), whole(experiments));
  std::vector<WorkedColumn> columns;
  for (const auto& asked : asked_for(experiments, compare))
    for (const auto& key : cost_called(asked) ? Keys{} : list_columns(keys, asked, facts))
      for (const auto& part : parts)
        columns.push_back(make_column(part, rows, key, compare, facts));
  for (const auto& cost : kCosts)  // always beside what was bought with them
    columns.push_back(make_column(parts.front(), rows, cost.key, compare, facts));
  std::erase_if(columns, [](const WorkedColumn& column) { return column.is_empty(); });
  return columns;
}

/// Fills p_holm of tests that count together.
void correct(const std::vector<Test*>& tests) {
  std::vector<double> p;
  for (const auto* test : tests)
    if (test->paired.p) p.push_back(*test->paired.p);
  const auto adjusted = holm(p);
  auto next = adjusted.begin();
  for (auto* test : tests)
    if (test->paired.p) test->p_holm = *next++;
}

/// Corrects the differences of these columns, and their pairs, each for their number.
void correct(std::span<WorkedColumn> columns) {
  std::vector<Test*> differences, pairs;
  for (auto& column : columns) {
    for (auto& cell : column.cells)
      if (cell.difference) differences.push_back(&*cell.difference);
    for (auto& pair : column.pairs)
      pairs.push_back(&pair.test);
  }
  correct(differences);
  correct(pairs);
}

/// After the corrections: which row is best, and whether it is so beyond doubt.
void mark_best(WorkedColumn& column, double alpha) {
  auto& cells = column.cells;
  const auto is_better = [&](std::size_t a, std::size_t b) {
    const auto x = cells[a].summary.mean, y = cells[b].summary.mean;
    return column.head.better == "lower" ? x < y : x > y;
  };
  std::optional<std::size_t> best;
  for (std::size_t r = 0; r < cells.size(); ++r)
    if (!cells[r].values.empty() && (!best || is_better(r, *best))) best = r;
  if (!best) return;
  int others = 0;
  bool significant = true;
  for (const auto& pair : column.pairs) {
    if (pair.a != *best && pair.b != *best) continue;
    if (cells[pair.a == *best ? pair.b : pair.a].values.empty()) continue;
    ++others;
    significant = significant && pair.test.p_holm && *pair.test.p_holm < alpha;
  }
  cells[*best].best = true;
  cells[*best].significant = others > 0 && significant;
}

}  // namespace

Table make_table(const std::vector<Experiment>& experiments, const CompareParams& compare,
                 const std::vector<std::string>& rows, const MetricFacts& facts) {
  auto columns = columns_asked_for(experiments, rows, compare, facts);
  if (compare.correct_within == "table") correct(columns);
  Table table;
  for (const auto& row : rows)
    table.rows.push_back({row, {}});
  for (auto& column : columns) {
    if (compare.correct_within != "table") correct({&column, 1});
    if (!column.head.better.empty()) mark_best(column, compare.alpha);
    table.columns.push_back(column.head);
    std::ranges::copy_if(column.pairs, std::back_inserter(table.pairs),
                         [](const Pair& pair) { return pair.test.paired.difference.n > 1; });
    for (std::size_t r = 0; r < rows.size(); ++r)
      table.rows[r].cells.push_back(column.cells[r]);
  }
  return table;
}

}  // namespace marginalia::comparison
