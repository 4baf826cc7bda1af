#include "schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

namespace marginalia::tables {

namespace {

constexpr std::array<std::pair<Kind, std::string_view>, 7> kKinds{{
    {Kind::kCategory, "category"},
    {Kind::kBoolean, "boolean"},
    {Kind::kInteger, "integer"},
    {Kind::kNumber, "number"},
    {Kind::kDate, "date"},
    {Kind::kWeight, "weight"},
    {Kind::kIgnored, "ignored"},
}};

constexpr std::int64_t kMostIntegers = 32;     // levels of whole numbers, beyond which bins serve
constexpr std::int64_t kMostCategories = 256;  // levels of texts

/// Pairs of words that say no and yes.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kNoYes{
    {{"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"}, {"0", "1"}}};

std::string lower(std::string_view text) {
  std::string small(text);
  for (auto& c : small)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return small;
}

/// The two labels as no and yes, or nothing.
std::optional<std::vector<std::string>> no_and_yes(const ScannedColumn& column) {
  if (column.many || column.labels.size() != 2) return std::nullopt;
  for (const auto& [no, yes] : kNoYes)
    for (const bool turned : {false, true}) {
      const auto &first = column.labels[turned], &second = column.labels[!turned];
      if (lower(first) == no && lower(second) == yes) return std::vector{first, second};
    }
  return std::nullopt;
}

bool all_whole(const ScannedColumn& column) {
  return column.numeric() && column.decimals == 0;
}

/// Whether the numbers are those of the rows: each one more than that before.
bool counts_rows(const ScannedColumn& column) {
  if (!all_whole(column) || column.missing > 0 || column.rows() < 10) return false;
  for (std::size_t n = 1; n < column.numbers.size(); ++n)
    if (column.numbers[n] != column.numbers[n - 1] + 1) return false;
  return true;
}

/// Whether two columns say the same in other words: each text of one goes with one of the other.
/// Where most rows have a text of their own that says nothing; then the texts must be the same.
bool repeats(const ScannedColumn& a, const ScannedColumn& b) {
  if (a.many || b.many || a.labels.size() != b.labels.size() || a.missing != b.missing)
    return false;
  if (2 * std::ssize(a.labels) > a.present()) return a.labels == b.labels && a.codes == b.codes;
  std::vector<std::int32_t> to(a.labels.size(), -1), from(b.labels.size(), -1);
  for (std::size_t n = 0; n < a.codes.size(); ++n) {
    const auto i = a.codes[n], j = b.codes[n];
    if ((i < 0) != (j < 0)) return false;
    if (i < 0) continue;
    auto &i_to = to[std::size_t(i)], &j_from = from[std::size_t(j)];
    if (i_to < 0 && j_from < 0) {
      i_to = j;
      j_from = i;
    }
    if (i_to != j || j_from != i) return false;
  }
  return true;
}

/// The kind that the texts show, and why where it is kIgnored.
std::pair<Kind, std::string> find_kind(const ScannedColumn& column) {
  const auto distinct = column.distinct();
  if (column.present() == 0) return {Kind::kIgnored, "all of it is missing"};
  if (distinct == 1) return {Kind::kIgnored, "constant"};
  if (no_and_yes(column)) return {Kind::kBoolean, ""};
  if (counts_rows(column)) return {Kind::kIgnored, "counts the rows"};
  if (column.numeric() && !column.leading_zeros)
    return {all_whole(column) && distinct <= kMostIntegers ? Kind::kInteger : Kind::kNumber, ""};
  if (!column.dates.empty()) return {Kind::kDate, ""};
  if (distinct > kMostCategories || 2 * distinct > column.present())
    return {Kind::kIgnored,
            column.many
                ? fmt::format("free text: more than {} values", ScannedColumn::kMostLabels)
                : fmt::format("free text: {} values in {} rows", distinct, column.present())};
  return {Kind::kCategory, ""};
}

/// A label, its rows, and its number where it is one.
struct Label {
  std::string text;
  std::int64_t count = 0;
  double value = 0;
};

std::vector<Label> count_labels(const ScannedColumn& from, bool as_numbers) {
  std::vector<Label> labels;
  for (const auto& text : from.labels)
    labels.push_back({text, 0, as_numbers ? parse(text, from.comma)->value : 0});
  for (const auto code : from.codes)
    if (code >= 0) ++labels[std::size_t(code)].count;
  return labels;
}

/// By their numbers; texts of one number, as 2 and 2.0, are one label.
std::vector<Label> sorted_numbers(std::vector<Label> labels) {
  std::ranges::stable_sort(labels, {}, &Label::value);
  std::vector<Label> merged;
  for (auto& label : labels) {
    if (!merged.empty() && merged.back().value == label.value) {
      merged.back().count += label.count;
      continue;
    }
    label.text = write_number(label.value, 0);
    merged.push_back(std::move(label));
  }
  return merged;
}

/// By their rows, the most first; those of fewer than `rare` as one.
std::vector<Label> gathered(std::vector<Label> labels, std::int64_t rare) {
  std::ranges::stable_sort(labels, std::greater<>(), &Label::count);
  const auto first = std::ranges::find_if(labels, [&](const auto& l) { return l.count < rare; });
  if (first == labels.end()) return labels;
  Label other{kOther};
  for (auto at = first; at != labels.end(); ++at)
    other.count += at->count;
  labels.erase(first, labels.end());
  labels.push_back(std::move(other));
  return labels;
}

/// Labels in the order of their levels: whole numbers by size, no before yes, others by how many
/// rows have them.
void take_labels(const ScannedColumn& from, Column& column, std::int64_t rare) {
  auto labels = count_labels(from, column.kind == Kind::kInteger);
  if (column.kind == Kind::kInteger)
    labels = sorted_numbers(std::move(labels));
  else if (column.kind == Kind::kCategory)
    labels = gathered(std::move(labels), rare);
  else if (const auto pair = no_and_yes(from); pair && labels[0].text != pair->front())
    std::swap(labels[0], labels[1]);
  for (auto& label : labels) {
    column.labels.push_back(std::move(label.text));
    column.counts.push_back(label.count);
  }
}

/// The least and the greatest number; and a resolution that has at most 10^15 steps up to them.
void take_range(const ScannedColumn& from, Column& column) {
  column.low = std::numeric_limits<double>::infinity();
  column.high = -column.low;
  const auto take = [&](double value) {
    column.low = std::min(column.low, value);
    column.high = std::max(column.high, value);
  };
  if (column.kind != Kind::kDate) {
    for (const double value : from.numbers)
      if (!std::isnan(value)) take(value);
    constexpr double kMostSteps = 1e15;
    const auto largest = std::max(std::abs(column.low), std::abs(column.high));
    while (largest > kMostSteps * column.resolution())
      --column.decimals;
    return;
  }
  for (const auto& label : from.labels)
    take(*parse_date(label, column.date));
}

[[noreturn]] void fail(const Scan& scan, const ScannedColumn& column, const std::string& what) {
  throw SpecError(fmt::format("{}: column \"{}\" {}", scan.file, column.name, what));
}

/// Throws where the texts are not of the stated kind.
void check_kind(const Scan& scan, const ScannedColumn& column, Kind kind) {
  if (kind == Kind::kIgnored) return;
  if (column.present() == 0) fail(scan, column, "has no values: all of it is missing");
  const bool labels = kind == Kind::kCategory || kind == Kind::kBoolean || kind == Kind::kInteger;
  if (labels && column.many)
    fail(scan, column,
         fmt::format("has more than {} values, too many for {}", ScannedColumn::kMostLabels,
                     to_string(kind)));
  if (labels && column.distinct() == 1)
    fail(scan, column,
         fmt::format("is \"{}\" in every row: nothing can be learned of it", column.labels[0]));
  if (kind == Kind::kBoolean && column.distinct() != 2)
    fail(scan, column, fmt::format("has {} values, no two", column.distinct()));
  if (kind == Kind::kInteger && !all_whole(column))
    fail(scan, column, "has texts that are no whole numbers");
  if ((kind == Kind::kNumber || kind == Kind::kWeight) && !column.numeric())
    fail(scan, column, "has texts that are no numbers");
  if (kind == Kind::kDate && column.dates.empty())
    fail(scan, column, "has texts that are no dates of one form, as 2020-01-31");
}

}  // namespace

std::string_view to_string(Kind kind) {
  return std::ranges::find(kKinds, kind, [](const auto& pair) { return pair.first; })->second;
}

Kind kind_named(std::string_view name) {
  const auto at = std::ranges::find(kKinds, name, [](const auto& pair) { return pair.second; });
  if (at != kKinds.end()) return at->first;
  std::vector<std::string_view> names;
  for (const auto& [_, known] : kKinds)
    names.push_back(known);
  throw SpecError(
      fmt::format("no column is of the kind \"{}\"; there is: {}", name, fmt::join(names, ", ")));
}

double Column::resolution() const {
  return kind == Kind::kDate ? date.step() : std::pow(10.0, -decimals);
}

Schema find_schema(const Scan& scan, const std::vector<std::pair<std::string, Stated>>& stated) {
  Schema schema{scan.file, scan.header, scan.marks, scan.rows, {}};
  for (const auto& [name, _] : stated)
    if (!std::ranges::count(scan.columns, name, &ScannedColumn::name)) {
      std::vector<std::string> names;
      for (const auto& column : scan.columns)
        names.push_back(column.name);
      throw SpecError(fmt::format("{}: has no column \"{}\"; there is: {}", scan.file, name,
                                  fmt::join(names, ", ")));
    }
  for (std::size_t i = 0; i < scan.columns.size(); ++i) {
    const auto& from = scan.columns[i];
    const auto at = std::ranges::find(stated, from.name, [](const auto& s) { return s.first; });
    const auto said = at == stated.end() ? Stated{} : at->second;
    Column column{.name = from.name,
                  .present = from.present(),
                  .missing = from.missing,
                  .distinct = from.distinct(),
                  .decimals = from.decimals,
                  .comma = from.comma};
    std::tie(column.kind, column.why) = find_kind(from);
    if (!said.kind.empty()) {
      column.kind = kind_named(said.kind);
      column.why = column.kind == Kind::kIgnored ? "as stated" : "";
      check_kind(scan, from, column.kind);
    }
    for (std::size_t j = 0; j < i && said.kind.empty() && column.is_variable(); ++j)
      if (schema.columns[j].is_variable() && repeats(scan.columns[j], from)) {
        column.kind = Kind::kIgnored;
        column.why = fmt::format("repeats {}", scan.columns[j].name);
      }
    column.missing_is_category = said.missing == "category" && from.missing > 0;
    if (column.kind == Kind::kDate) column.date = from.dates.front();
    if (column.has_labels()) take_labels(from, column, said.rare);
    if (column.has_density()) take_range(from, column);
    schema.columns.push_back(std::move(column));
  }
  return schema;
}

}  // namespace marginalia::tables
