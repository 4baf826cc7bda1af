#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/json.h>

#include "scan.h"

namespace marginalia::tables {

/// What a column is taken for. kCategory: labels without an order; kInteger: whole numbers that are
/// each a level; kNumber and kDate: a density; kWeight: how much each row counts; kIgnored: neither
/// that nor a variable.
enum class Kind { kCategory, kBoolean, kInteger, kNumber, kDate, kWeight, kIgnored };
std::string_view to_string(Kind kind);   ///< "category", ...
Kind kind_named(std::string_view name);  ///< throws SpecError with the nearest

/// A column of a table as the whole file shows it.
struct Column {
  std::string name;
  Kind kind = Kind::kIgnored;
  std::string why = {};  ///< why it is ignored, or what it repeats
  std::int64_t present = 0, missing = 0;
  std::int64_t distinct = 0;              ///< texts that differ, or one more than are counted
  bool missing_is_category = false;       ///< a gap is a value of its own, which can be asked for
  std::vector<std::string> labels = {};   ///< of kCategory, kBoolean and kInteger, by level
  std::vector<std::int64_t> counts = {};  ///< rows of each label
  double low = 0, high = 0;               ///< the least and the greatest number; seconds of a date
  int decimals = 0;                       ///< of numbers: their resolution is 10^-decimals
  bool comma = false;                     ///< numbers are written 2,5
  DateForm date = {};

  bool has_labels() const {
    return kind == Kind::kCategory || kind == Kind::kBoolean || kind == Kind::kInteger;
  }
  bool has_density() const { return kind == Kind::kNumber || kind == Kind::kDate; }
  bool is_variable() const { return has_labels() || has_density(); }
  /// From one value to the next: 10^-decimals, or the seconds of DateForm::step.
  double resolution() const;
};

/// What a file's columns are: found, stated, or read from JSON that was found before.
struct Schema {
  std::string file;
  bool header = false;
  Marks marks;
  std::int64_t rows = 0;
  std::vector<Column> columns;
};

/// What someone says of a column, in the place of what is found.
struct Stated {
  std::string kind = {};     ///< empty: found
  std::string missing = {};  ///< "unknown" or "category"; empty: unknown
  std::int64_t rare = 0;     ///< labels of fewer rows are gathered as one, "(other)"
};

inline constexpr const char* kOther = "(other)";
inline constexpr const char* kGap = "(missing)";

/// Finds what each column is. stated: by column name. Throws SpecError for a name that no column
/// has, and for a kind that a column's texts are not of.
Schema find_schema(const Scan& scan, const std::vector<std::pair<std::string, Stated>>& stated);

Json to_json(const Schema& schema);
/// The inverse; `where` is what messages call the JSON. Throws SpecError that names the column and
/// the key that are wrong.
Schema schema_from_json(const Json& json, const std::string& where);

}  // namespace marginalia::tables
