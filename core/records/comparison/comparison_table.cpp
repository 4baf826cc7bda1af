/// \file
/// The table of a comparison. A cell is the mean over the runs of a row with its standard error;
/// two rows are compared by Student's t test of the paired differences over what they share (the
/// seed, first of all), corrected for the number of tests by Holm's rule. The best of a column is
/// marked as such only if it differs from every other row significantly, all pairs counted.
#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "comparison.h"
#include "comparison_parts.h"
#include "statistics.h"

namespace marginalia::comparison {
namespace {

std::vector<std::string> asked_for(const Json& experiments, const CompareParams& compare) {
  if (!compare.metrics.empty()) return compare.metrics;
  std::vector<std::string> all;
  for (const auto& e : experiments)
    if (e.contains("figures"))
      for (const auto& [key, _] : e.at("figures").items())
        if (!std::ranges::count(all, metric_of(key))) all.push_back(metric_of(key));
  return all;
}

bool is_cost(const std::string& key) {
  return std::ranges::any_of(kCosts, [&](const Cost& cost) { return key == cost.key; });
}

/// The key of the figure that stands in column `key` for this experiment; "" for none. A figure
/// that is exact is the same by whatever estimator.
std::string figure_key(const Json& figures, const std::string& key) {
  if (figures.contains(key)) return key;
  const auto metric = metric_of(key);
  for (const auto& [name, figure] : figures.items())
    if (metric != "log_z" && metric_of(name) == metric && figure.value("status", "") == "exact")
      return name;
  return key_in(keys_of(figures), key);
}

/// One number of one experiment.
struct Value {
  std::string experiment;
  Json pair;
  double value;
  std::optional<double> error;
  std::string estimator, status, unit;
};

/// The numbers of `row` in a column, and why there are fewer than experiments.
std::vector<Value> values_of(const Json& experiments, const std::string& row,
                             const std::string& key, std::string& why) {
  std::vector<Value> values;
  for (const auto& e : experiments) {
    if (e.at("row") != row || !e.contains("figures")) continue;
    Value value{e.at("name"), e.at("pair"), NAN, {}, "", "", ""};
    if (is_cost(key)) {
      const auto& cost = e.at("costs").at(key);
      value.value = cost.is_number() ? cost.get<double>() : NAN;
    } else if (const auto name = figure_key(e.at("figures"), key); !name.empty()) {
      const auto& figure = e.at("figures").at(name);
      if (figure.at("value").is_number()) value.value = figure.at("value").get<double>();
      if (figure.contains("stderr") && figure.at("stderr").is_number())
        value.error = figure.at("stderr").get<double>();
      value.estimator = estimator_of(name);
      value.status = figure.value("status", "");
      value.unit = figure.value("unit", "");
      if (!std::isfinite(value.value)) why = "not finite in " + value.experiment;
    } else if (e.contains("unavailable") && e.at("unavailable").contains(metric_of(key))) {
      why = e.at("unavailable").at(metric_of(key)).get<std::string>();
    } else {
      why = "not measured";
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

PairedTest test_of(const std::vector<Value>& a, const std::vector<Value>& b) {
  std::vector<double> left, right;
  for (const auto& one : a)
    for (const auto& other : b)
      if (one.pair == other.pair) {
        left.push_back(one.value);
        right.push_back(other.value);
      }
  return paired_t_test(left, right);
}

Json to_json(const PairedTest& test) {
  Json json{{"n", test.difference.n}, {"mean", test.difference.mean}};
  json["stderr"] = test.difference.error ? Json(*test.difference.error) : Json();
  json["t"] = test.t ? Json(*test.t) : Json();
  json["p"] = test.p ? Json(*test.p) : Json();
  if (!test.untested.empty()) json["untested"] = test.untested;
  return json;
}

/// Puts p_holm beside p in each of the tests.
void correct(const std::vector<Json*>& tests) {
  std::vector<double> p;
  std::vector<Json*> tested;
  for (auto* test : tests)
    if (test->at("p").is_number()) {
      p.push_back(test->at("p").get<double>());
      tested.push_back(test);
    }
  const auto adjusted = holm(p);
  for (std::size_t i = 0; i < tested.size(); ++i)
    (*tested[i])["p_holm"] = adjusted[i];
}

const char* sign_of(const std::string& status) {
  return status == "upper" ? "\u2264 " : status == "lower" ? "\u2265 " : "";
}

Json cell_of(const std::vector<Value>& values, const std::string& key, const std::string& why) {
  std::vector<double> numbers;
  Json sources = Json::object();
  for (const auto& value : values) {
    numbers.push_back(value.value);
    sources[value.experiment] = value.value;
  }
  const auto summary = summary_of(numbers);
  Json cell{{"column", key}, {"n", summary.n}, {"values", sources}};
  if (values.empty()) {
    cell["why"] = why.empty() ? "no finished run" : why;
    cell["text"] = "\u2013";
    return cell;
  }
  auto error = summary.error;
  if (!error && values.front().error) error = values.front().error;
  cell["mean"] = summary.mean;
  cell["stderr"] = error ? Json(*error) : Json();
  cell["stderr_of"] = summary.error ? "runs" : error ? "one run" : "none";
  if (const auto estimator = common(values, &Value::estimator); !estimator.empty())
    cell["estimator"] = estimator;
  const auto status = common(values, &Value::status);
  if (!status.empty()) cell["status"] = status;
  if (!why.empty()) cell["why"] = why;
  cell["text"] = sign_of(status) + number_text(summary.mean, error ? &*error : nullptr);
  return cell;
}

std::string difference_text(const Json& test) {
  if (test.at("n") == 0) return "\u2013";
  const auto mean = test.at("mean").get<double>();
  const auto* error = test.at("stderr").get_ptr<const double*>();
  auto text = (mean > 0 ? "+" : "") + number_text(mean, error);
  if (!test.contains("p_holm")) return text;
  const auto p = test.at("p_holm").get<double>();
  return text + (p < 0.001 ? " (p < 0.001)" : fmt::format(" (p = {:.2g})", p));
}

/// One column of the table, worked out: of all experiments, or of those `among` which it says.
class Column {
 public:
  Column(const Json& experiments, const std::vector<std::string>& rows, std::string key,
         const CompareParams& compare, std::string among = "")
      : rows_(rows),
        key_(std::move(key)),
        among_(std::move(among)),
        better_(better_of(key_, compare)) {
    for (const auto& row : rows) {
      std::string why;
      values_.push_back(values_of(experiments, row, key_, why));
      cells_.push_back(cell_of(values_.back(), full_key(), why));
    }
    if (is_cost(key_)) return;
    const auto named = std::ranges::find(rows, compare.baseline);
    const auto baseline = named == rows.end() ? std::size_t{0} : std::size_t(named - rows.begin());
    for (std::size_t r = 0; r < rows.size(); ++r)
      if (r != baseline) cells_[r]["difference"] = to_json(test_of(values_[r], values_[baseline]));
    for (std::size_t a = 0; a < rows.size(); ++a)
      for (std::size_t b = a + 1; b < rows.size(); ++b) {
        pairs_.push_back(to_json(test_of(values_[a], values_[b])));
        pairs_.back()["a"] = rows[a];
        pairs_.back()["b"] = rows[b];
        pairs_.back()["column"] = full_key();
      }
  }

  std::vector<Json*> differences() {
    std::vector<Json*> tests;
    for (auto& cell : cells_)
      if (cell.contains("difference")) tests.push_back(&cell["difference"]);
    return tests;
  }
  std::vector<Json*> pairs() {
    std::vector<Json*> tests;
    for (auto& pair : pairs_)
      tests.push_back(&pair);
    return tests;
  }

  /// After the corrections: the texts of differences, and which row is best.
  void finish(double alpha) {
    for (auto* test : differences())
      (*test)["text"] = difference_text(*test);
    if (better_.empty()) return;
    std::optional<std::size_t> best;
    for (std::size_t r = 0; r < rows_.size(); ++r)
      if (cells_[r].contains("mean") && (!best || is_better(r, *best))) best = r;
    if (!best) return;
    cells_[*best]["best"] = true;
    int others = 0;
    bool significant = true;
    for (const auto& pair : pairs_) {
      if (pair.at("a") != rows_[*best] && pair.at("b") != rows_[*best]) continue;
      const auto other = pair.at("a") == rows_[*best] ? pair.at("b") : pair.at("a");
      const auto at = std::ranges::find(rows_, other.get<std::string>()) - rows_.begin();
      if (!cells_[std::size_t(at)].contains("mean")) continue;
      ++others;
      significant = significant && pair.contains("p_holm") && pair.at("p_holm") < alpha;
    }
    cells_[*best]["significant"] = others > 0 && significant;
  }

  Json head() const {
    const auto label = label_of(key_) + (among_.empty() ? "" : ", " + among_);
    Json head{{"key", full_key()}, {"label", label}, {"kind", "quality"}, {"unit", unit()}};
    for (const auto& cost : kCosts)
      if (key_ == cost.key)
        head = {{"key", key_}, {"label", cost.label}, {"kind", "cost"}, {"unit", cost.unit}};
    head["better"] = better_.empty() ? Json() : Json(better_);
    return head;
  }
  /// A cost that no run has is not shown.
  bool is_empty() const {
    return is_cost(key_) && std::ranges::all_of(values_, [](const auto& row) {
             return std::ranges::all_of(row, [](const Value& v) { return v.value == 0; });
           });
  }
  const std::vector<Json>& cells() const { return cells_; }
  const std::vector<Json>& all_pairs() const { return pairs_; }

 private:
  bool is_better(std::size_t a, std::size_t b) const {
    const auto x = cells_[a].at("mean").get<double>(), y = cells_[b].at("mean").get<double>();
    return better_ == "lower" ? x < y : x > y;
  }
  std::string full_key() const { return among_.empty() ? key_ : key_ + " of " + among_; }
  std::string unit() const {
    for (const auto& row : values_)
      if (!row.empty()) return common(row, &Value::unit);
    return "";
  }

  std::vector<std::string> rows_;
  std::string key_, among_, better_;
  std::vector<std::vector<Value>> values_;  // by row
  std::vector<Json> cells_, pairs_;
};

}  // namespace

Json table_of(const Json& experiments, const CompareParams& compare,
              const std::vector<std::string>& rows) {
  std::vector<Keys> keys;
  for (const auto& e : experiments)
    if (e.contains("figures")) keys.push_back(keys_of(e.at("figures")));
  const auto parts = parted(experiments, compare.columns);
  std::vector<Column> columns;
  for (const auto& asked : asked_for(experiments, compare))
    for (const auto& key : is_cost(asked) ? Keys{} : columns_of(keys, asked)) {
      columns.emplace_back(experiments, rows, key, compare);
      for (const auto& [text, part] : parts)
        columns.emplace_back(part, rows, key, compare, text);
    }
  for (const auto& cost : kCosts)  // always beside what was bought with them
    columns.emplace_back(experiments, rows, cost.key, compare);
  std::erase_if(columns, [](const Column& column) { return column.is_empty(); });

  std::vector<Json*> differences, pairs;
  for (auto& column : columns) {
    const auto more = column.differences(), more_pairs = column.pairs();
    differences.insert(differences.end(), more.begin(), more.end());
    pairs.insert(pairs.end(), more_pairs.begin(), more_pairs.end());
    if (compare.correct_within == "table") continue;
    correct(more);
    correct(more_pairs);
  }
  if (compare.correct_within == "table") {
    correct(differences);
    correct(pairs);
  }

  Json table{{"columns", Json::array()}, {"rows", Json::array()}, {"pairs", Json::array()}};
  for (auto& column : columns) {
    column.finish(compare.alpha);
    table["columns"].push_back(column.head());
    for (const auto& pair : column.all_pairs())
      if (pair.at("n") > 1) table["pairs"].push_back(pair);
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    Json cells = Json::array();
    for (const auto& column : columns)
      cells.push_back(column.cells()[r]);
    table["rows"].push_back({{"row", rows[r]}, {"cells", cells}});
  }
  return table;
}

}  // namespace marginalia::comparison
