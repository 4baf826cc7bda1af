#include "table_file.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

namespace marginalia::table {
namespace {

using Fields = std::vector<std::string_view>;

/// Whether a field is what programs write in the place of a value that is not known.
bool is_missing(std::string_view field) {
  constexpr std::array<std::string_view, 9> kMarks{"",    "?",   "NA",   "N/A", "nan",
                                                   "NaN", "NAN", "null", "None"};
  return std::ranges::find(kMarks, field) != kMarks.end();
}

bool is_word(std::string_view field) {
  return !is_missing(field) && parse_number(field).fault;
}

/// Whether the fields are 0, 1, 2, ..., as pandas names the columns of an array.
bool counts_columns(const Fields& fields) {
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i] != fmt::format("{}", i)) return false;
  return fields.size() > 2;
}

class TableReader {
 public:
  TableReader(const TextFile& file, const Format& format) : records_(file, "#"), format_(format) {
    rows_.width = format.width;
    rows_.values.reserve(file.text().size() / 2);
  }

  Rows read() {
    if (records_.next()) take_first();
    while (records_.next())
      take_row();
    if (rows_.values.empty())
      throw SpecError(
          fmt::format("{}: has no rows; a split needs one at least", records_.file().name()));
    return std::move(rows_);
  }

 private:
  void take_first() {
    const auto& fields = records_.fields();
    if (format_.header == "auto" && counts_columns(fields))
      records_.fail(
          fmt::format("the first line is 0, 1, ..., {}, which may be a row or the names of "
                      "columns; say \"header\": \"yes\" or \"no\"",
                      fields.size() - 1));
    const bool is_header =
        format_.header == "auto" ? std::ranges::any_of(fields, is_word) : format_.header == "yes";
    if (!is_header) return take_row();
    if (fields[0].empty())
      records_.fail("the first column has no name: it is an index of rows, not a variable; leave "
                    "it out");
    header_width_ = std::ssize(fields);
    rows_.names.assign(fields.begin(), fields.end());
    if (format_.header == "auto")
      warn(fmt::format("{}: the first line is taken as the names of {} columns; where it is a row, "
                       "say \"header\": \"no\"",
                       records_.file().place(records_.line()), header_width_));
  }

  void take_row() {
    const auto& fields = records_.fields();
    const auto count = std::ssize(fields);
    if (header_width_ != 0 && count == header_width_ + 1)
      records_.fail(fmt::format("{} values below a header of {} names: the first is an index of "
                                "rows, not a variable; leave it out",
                                count, header_width_));
    if (header_width_ != 0 && count != header_width_)
      records_.fail(fmt::format("{} values, but the header has {} names", count, header_width_));
    const auto stated = std::ssize(format_.cardinalities);
    if (stated > 0 && count != stated)
      records_.fail(fmt::format("{} values, but \"cardinalities\" has {}", count, stated));
    if (rows_.width == 0) rows_.width = count;
    if (count != rows_.width)
      records_.fail(fmt::format("{} values, but the rows before have {}", count, rows_.width));
    for (std::size_t i = 0; i < fields.size(); ++i)
      rows_.values.push_back(read_value(fields[i], i));
  }

  std::uint8_t read_value(std::string_view field, std::size_t column) const {
    const auto limit = format_.limit(column);
    if (field.size() == 1 && field[0] >= '0' && field[0] < '0' + std::min<std::int64_t>(limit, 10))
      return static_cast<std::uint8_t>(field[0] - '0');
    const auto fail = [&](const std::string& what) {
      const auto whose =
          format_.cardinalities.empty() ? "" : fmt::format(" of variable {}", column);
      records_.fail(fmt::format("{}; values{} are 0 to {}", what, whose, limit - 1));
    };
    if (is_missing(field)) fail(fmt::format("a value is missing (\"{}\")", field));
    const auto [value, fault, underflow] = parse_integer(field);
    if (fault) fail(fmt::format("\"{}\" {}", field, fault));
    if (value < 0 || value >= limit) fail(fmt::format("{} is out of range", value));
    return static_cast<std::uint8_t>(value);
  }

  RecordReader records_;
  const Format& format_;
  std::int64_t header_width_ = 0;
  Rows rows_;
};

}  // namespace

Rows read_rows(const TextFile& file, const Format& format) {
  return TableReader(file, format).read();
}

}  // namespace marginalia::table
