#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marginalia::tables {

/// What a field may say, whatever its column is of.
struct Marks {
  std::vector<std::string> missing;  ///< what stands for a value that is not known
  std::string strip;                 ///< characters taken off the end of every field
};

/// "", "?", "NA", ...: what programs write where a value is not known.
const std::vector<std::string>& usual_missing();

/// `field` without single quotes around it and without what Marks::strip takes off.
std::string_view bare(std::string_view field, const Marks& marks);
bool is_missing(std::string_view field, const Marks& marks);

/// A number as a column has it.
struct Number {
  double value = 0;
  int decimals = 0;           ///< digits behind the point that are not zeros at the end
  bool leading_zero = false;  ///< as 02208, which is a code and no number
};
/// Nothing where the field is no number; comma: it is written 2,5, and 2.5 is none.
std::optional<Number> parse(std::string_view field, bool comma = false);

/// How a column writes days, and times of day.
struct DateForm {
  std::string days = {};   ///< "Y-M-D", "D.M.Y", "M/D/Y", "D/M/Y" or "Y/M/D"
  std::string times = {};  ///< "", "h:m" or "h:m:s"
  char between = ' ';      ///< the two: a blank or T
  bool operator==(const DateForm&) const = default;

  double step() const;  ///< seconds from one value to the next: 86400, 60 or 1
  std::string text() const;
  static std::optional<DateForm> of(std::string_view text);  ///< the inverse
};
/// The forms in which `field` is a date, those that come first in a file of its like first.
std::vector<DateForm> date_forms(std::string_view field);
/// Seconds since 1970, of the Gregorian calendar and without time zones; nothing where `field` is
/// not of this form.
std::optional<double> parse_date(std::string_view field, const DateForm& form);
std::string write_date(double seconds, const DateForm& form);

/// `text` as a field of a CSV file: in quotes where it needs them.
std::string write_field(const std::string& text);
/// A number with `decimals` digits behind the point at most, without zeros at its end.
std::string write_number(double value, int decimals, bool comma = false);

}  // namespace marginalia::tables
