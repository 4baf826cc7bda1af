#include "scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::tables {

void ScannedColumn::add(std::string_view field, const Marks& marks) {
  ++rows_;
  field = bare(field, marks);
  if (is_missing(field, marks)) {
    ++missing;
    if (!many) codes.push_back(-1);
    if (numeric_) numbers.push_back(std::numeric_limits<double>::quiet_NaN());
    return;
  }
  add_label(field);
  if (numeric_) add_number(field);
  if (!numeric_) add_date(field);
}

void ScannedColumn::add_label(std::string_view field) {
  if (many) return;
  auto found = code_of_.find(field);
  if (found == code_of_.end()) {
    if (labels.size() == (numeric_ ? kMostNumbers : kMostLabels)) {
      many = true;
      codes = {};
      labels = {};
      code_of_ = {};
      return;
    }
    found = code_of_.emplace(field, std::int32_t(labels.size())).first;
    labels.emplace_back(field);
  }
  codes.push_back(found->second);
}

void ScannedColumn::add_number(std::string_view field) {
  const bool has_comma = field.find(',') != field.npos, has_point = field.find('.') != field.npos;
  comma = comma || has_comma;
  point_ = point_ || has_point;
  const auto number = comma && point_ ? std::nullopt : parse(field, has_comma);
  if (!number) {
    numeric_ = false;
    numbers = {};
    // What were numbers before may be dates all the same, as 2020 is not.
    first_date_ = labels.size() == 1;
    return;
  }
  numbers.push_back(number->value);
  ++with_decimals_[std::size_t(std::clamp(number->decimals, 0, 17))];
  leading_zeros = leading_zeros || number->leading_zero;
}

void ScannedColumn::finish() {
  constexpr double kNearlyAll = 0.995;
  const auto all = std::accumulate(with_decimals_.begin(), with_decimals_.end(), std::int64_t{0});
  std::int64_t enough = 0;
  for (decimals = 0; decimals < 17; ++decimals)
    if (double(enough += with_decimals_[std::size_t(decimals)]) >= kNearlyAll * double(all)) break;
}

void ScannedColumn::add_date(std::string_view field) {
  if (first_date_) {
    dates = date_forms(field);
    first_date_ = false;
  }
  std::erase_if(dates, [&](const DateForm& form) { return !parse_date(field, form); });
}

namespace {

using Record = std::vector<std::string>;

/// What separates fields: of tab, semicolon, bar and comma the first that each of the first lines
/// has as often, and once at least; what RecordReader finds where none is.
char find_separator(const TextFile& file) {
  constexpr int kLines = 50;
  for (const char separator : {'\t', ';', '|', ','}) {
    std::ptrdiff_t count = -1;
    bool same = true;
    int seen = 0;
    for (LineReader lines(file.text()); same && seen < kLines && lines.next_filled(); ++seen) {
      bool quoted = false;
      std::ptrdiff_t here = 0;
      for (const char c : lines.line()) {
        if (c == '"') quoted = !quoted;
        here += !quoted && c == separator;
      }
      same = here > 0 && (count < 0 || here == count);
      count = here;
    }
    if (same && seen > 0) return separator;
  }
  return '\0';
}

/// The first records, of which a header is told from a row.
std::vector<Record> read_first(const TextFile& file, char separator) {
  constexpr std::size_t kRecords = 1000;
  std::vector<Record> first;
  for (RecordReader records(file, {}, separator); first.size() < kRecords && records.next();)
    first.emplace_back(records.fields().begin(), records.fields().end());
  return first;
}

/// Whether the first record is one of names: no number and nothing missing (but the name of a
/// column of row numbers), no text twice, and none that its own column has again.
bool looks_like_header(const std::vector<Record>& records, const Marks& marks) {
  const auto& first = records.front();
  for (std::size_t i = 0; i < first.size(); ++i) {
    const auto field = bare(first[i], marks);
    if (field.empty() && i == 0) continue;
    if (is_missing(field, marks) || parse(field) || std::ranges::count(first, first[i]) > 1)
      return false;
    for (std::size_t n = 1; n < records.size(); ++n)
      if (i < records[n].size() && records[n][i] == first[i]) return false;
  }
  return true;
}

void check_names(const TextFile& file, const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto before = std::ranges::find(names, names[i]) - names.begin();
    if (std::size_t(before) < i)
      throw SpecError(fmt::format("{}: two columns are named \"{}\": {} and {}; give \"names\"",
                                  file.name(), names[i], before + 1, i + 1));
  }
}

std::vector<std::string> find_names(const TextFile& file, const Form& form, const Record& first,
                                    bool header) {
  std::vector<std::string> names = form.names;
  if (!names.empty() && names.size() != first.size())
    file.fail(1, fmt::format("{} columns, but \"names\" has {}", first.size(), names.size()));
  if (names.empty())
    for (std::size_t i = 0; i < first.size(); ++i)
      names.push_back(header && !first[i].empty() ? first[i] : fmt::format("column_{}", i + 1));
  check_names(file, names);
  return names;
}

}  // namespace

TextFile open_text(const std::filesystem::path& file) {
  return TextFile(file, std::size_t{16} << 20);
}

Scan scan(const TextFile& file, const Form& form) {
  Scan result;
  result.file = file.name();
  auto& marks = result.marks;
  marks = {form.missing, form.strip};
  if (marks.missing.empty()) marks.missing = usual_missing();
  const char separator = form.separator != '\0' ? form.separator : find_separator(file);
  result.separator = separator;
  const auto first = read_first(file, separator);
  if (first.empty()) throw SpecError(file.name() + ": has no rows; it needs one at least");
  result.header = form.header == "yes" ||
                  (form.header == "auto" && form.names.empty() && looks_like_header(first, marks));
  for (auto& name : find_names(file, form, first.front(), result.header))
    result.columns.emplace_back(std::move(name));

  RecordReader records(file, {}, separator);
  if (result.header) records.next();
  while (records.next()) {
    const auto& fields = records.fields();
    if (fields.size() != result.columns.size())
      records.fail(fmt::format(
          "{} values, but {} columns: {}", fields.size(), result.columns.size(),
          result.header ? "the header has as many names" : "as many has the first row"));
    for (std::size_t i = 0; i < fields.size(); ++i)
      result.columns[i].add(fields[i], marks);
    ++result.rows;
  }
  for (auto& column : result.columns)
    column.finish();
  if (result.rows == 0)
    throw SpecError(file.name() + ": has a header and no rows; it needs one at least");
  return result;
}

}  // namespace marginalia::tables
