#include "line.h"

#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

#include "shared/tables/cells.h"
#include "shared/tables/rows.h"

namespace marginalia::csv {

using namespace marginalia::tables;

std::int64_t level_of_field(const Encoding& encoding, std::string_view field) {
  const auto& column = encoding.column();
  const auto fail = [&](const std::string& what) {
    throw SpecError(fmt::format("column \"{}\": \"{}\" {}", column.name, field, what));
  };
  if (column.missing_is_category && field == kGap) return encoding.level_of_gap();
  if (column.kind == Kind::kDate) {
    const auto seconds = parse_date(field, column.date);
    if (!seconds) fail(fmt::format("is no date of the form {}", column.date.text()));
    return encoding.level_of(*seconds);
  }
  if (column.kind == Kind::kNumber) {
    const auto number = parse(field, column.comma);
    if (!number) fail("is no number");
    return encoding.level_of(number->value);
  }
  const auto level = encoding.level_of(field);
  if (level < 0) fail(fmt::format("is none of its labels: {}", fmt::join(column.labels, ", ")));
  return level;
}

std::vector<std::string_view> fields_of(const TextFile& line) {
  RecordReader records(line, {}, ',');
  if (!records.next()) return {""};
  auto fields = records.fields();
  if (records.next()) records.fail("a row is one line");
  // A separator at the end of all lines makes no field in a file; in a row it does.
  if (trim(line.text()).ends_with(',')) fields.emplace_back("");
  return fields;
}

}  // namespace marginalia::csv
