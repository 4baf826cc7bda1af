#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace marginalia::tables {

/// What a condition asks of a value.
enum class Relation {
  kIn,
  kNotIn,
  kLess,
  kLessOrEqual,
  kMore,
  kMoreOrEqual,
  kMissing,
  kNotMissing
};

/// `age >= 30`, `sex = Male`, `class in (1, 2)`, `deck is missing`.
struct Condition {
  std::string column;
  Relation relation = Relation::kIn;
  std::vector<std::string> values = {};  ///< none of kMissing and kNotMissing, one of kLess, ...
  std::size_t place = 0;                 ///< of its first character in the text
};

/// Conditions that all hold, with commas between:
///   column (= | != | < | <= | > | >=) value
///   column [not] in (value, ...)
///   column is [not] missing
/// Columns and values with blanks, commas, parentheses or signs of comparison stand in double
/// quotes, within which a quote is doubled. Throws SpecError that says at which character.
std::vector<Condition> parse_conditions(std::string_view text);

}  // namespace marginalia::tables
