#include "rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/state_space.h>

namespace marginalia::tables {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void fail(const std::string& file, const Column& column, const std::string& what) {
  throw SpecError(fmt::format("{}: column \"{}\" {}", file, column.name, what));
}

/// The first row, from 1, with this code.
std::ptrdiff_t row_of(const ScannedColumn& from, std::size_t code) {
  return std::ranges::find(from.codes, std::int32_t(code)) - from.codes.begin() + 1;
}

/// The level of each label of `from`.
std::vector<std::int64_t> levels_of_labels(const ScannedColumn& from, const Encoding& encoding,
                                           const std::string& file, Variables::Unseen unseen) {
  const auto& column = encoding.column();
  if (from.many) fail(file, column, "has more texts than a column of labels can have");
  std::vector<std::int64_t> levels;
  for (std::size_t code = 0; code < from.labels.size(); ++code) {
    auto label = from.labels[code];
    if (column.kind == Kind::kInteger)
      if (const auto number = parse(label, column.comma); number && number->decimals == 0)
        label = write_number(number->value, 0);
    auto level = encoding.level_of(label);
    if (level < 0 && column.kind == Kind::kCategory) level = encoding.level_of(kOther);
    if (level < 0 && unseen == Variables::Unseen::kRefuse)
      fail(file, column,
           fmt::format("has \"{}\" in row {}, which is none of its labels: {}", from.labels[code],
                       row_of(from, code), fmt::join(column.labels, ", ")));
    levels.push_back(level);  // -1, which is kUnknown, of what was never seen
  }
  return levels;
}

}  // namespace

const ScannedColumn& column_named(const Scan& scan, const std::string& name) {
  const auto at = std::ranges::find(scan.columns, name, &ScannedColumn::name);
  if (at != scan.columns.end()) return *at;
  std::vector<std::string> names;
  for (const auto& column : scan.columns)
    names.push_back(column.name);
  throw SpecError(fmt::format("{}: has no column \"{}\"; there is: {}", scan.file, name,
                              fmt::join(names, ", ")));
}

std::vector<double> numbers_of(const ScannedColumn& from, const Column& column,
                               const std::string& file) {
  if (from.present() == 0) return std::vector<double>(std::size_t(from.rows()), kNone);
  if (column.kind != Kind::kDate) {
    if (!from.numeric()) fail(file, column, "has texts that are no numbers");
    return from.numbers;
  }
  std::vector<double> of_label;
  for (std::size_t code = 0; code < from.labels.size(); ++code) {
    const auto seconds = parse_date(from.labels[code], column.date);
    if (!seconds)
      fail(file, column,
           fmt::format("has \"{}\" in row {}, which is no date of the form {}", from.labels[code],
                       row_of(from, code), column.date.text()));
    of_label.push_back(*seconds);
  }
  std::vector<double> values;
  for (const auto code : from.codes)
    values.push_back(code < 0 ? kNone : of_label[std::size_t(code)]);
  return values;
}

Variables::Variables(const Schema& schema, const Scan& scan,
                     const std::vector<std::int64_t>& training, std::int64_t bins) {
  for (const auto& column : schema.columns) {
    if (!column.is_variable()) continue;
    std::vector<double> numbers;
    if (column.has_density()) {
      const auto all = numbers_of(column_named(scan, column.name), column, scan.file);
      for (const auto row : training)
        numbers.push_back(all[std::size_t(row)]);
    }
    encodings_.emplace_back(column, numbers, bins);
    if (encodings_.back().levels() > std::numeric_limits<std::int16_t>::max())
      fail(scan.file, column, "has more levels than 32767");
  }
  if (encodings_.empty())
    throw SpecError(fmt::format("{}: no column is a variable: all are ignored", schema.file));
}

bool Variables::has_gaps() const {
  return std::ranges::any_of(encodings_, [](const Encoding& encoding) {
    return encoding.column().missing > 0 && !encoding.column().missing_is_category;
  });
}

bool Variables::has_density() const {
  return std::ranges::any_of(encodings_,
                             [](const Encoding& one) { return one.column().has_density(); });
}

Variables::Rows Variables::encode(const Scan& scan, Unseen unseen,
                                  const std::vector<std::string>& optional) const {
  Rows rows;
  const auto cells = std::size_t(scan.rows * count());
  rows.levels.assign(cells, std::int16_t(kUnknown));
  if (has_density()) rows.log_recorded.assign(cells, 0);
  for (std::int64_t i = 0; i < count(); ++i) {
    const auto& name = encodings_[std::size_t(i)].column().name;
    const bool there = std::ranges::count(scan.columns, name, &ScannedColumn::name) > 0;
    if (!there && std::ranges::count(optional, name) > 0) continue;
    encode_column(column_named(scan, name), i, scan.file, unseen, rows);
  }
  return rows;
}

void Variables::encode_column(const ScannedColumn& from, std::int64_t variable,
                              const std::string& file, Unseen unseen, Rows& rows) const {
  const auto& encoding = encodings_[std::size_t(variable)];
  const auto gap = std::int16_t(encoding.level_of_gap());
  if (encoding.column().has_density()) {
    const auto numbers = numbers_of(from, encoding.column(), file);
    for (std::size_t row = 0; row < numbers.size(); ++row) {
      const bool missing = std::isnan(numbers[row]);
      rows.levels[cell(row, variable)] =
          missing ? gap : std::int16_t(encoding.level_of(numbers[row]));
      if (!missing) rows.log_recorded[cell(row, variable)] = encoding.log_recorded(numbers[row]);
    }
    return;
  }
  const auto levels = levels_of_labels(from, encoding, file, unseen);
  for (std::size_t row = 0; row < from.codes.size(); ++row)
    rows.levels[cell(row, variable)] =
        from.codes[row] < 0 ? gap : std::int16_t(levels[std::size_t(from.codes[row])]);
}

}  // namespace marginalia::tables
