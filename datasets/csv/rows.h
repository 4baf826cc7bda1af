#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "encoding.h"
#include "scan.h"
#include "schema.h"

namespace marginalia::csv {

/// The variables of a table, and the levels of its rows.
class Variables {
 public:
  /// training: rows of `scan` that quantiles are of. Throws SpecError where a column is left with
  /// one level, or none is a variable.
  Variables(const Schema& schema, const Scan& scan, const std::vector<std::int64_t>& training,
            std::int64_t bins);

  std::int64_t count() const { return std::ssize(encodings_); }
  const Encoding& operator[](std::int64_t i) const { return encodings_[std::size_t(i)]; }
  bool has_gaps() const;  ///< some column has gaps that are no level

  /// Levels of the rows of a file that has the columns of the schema.
  struct Rows {
    std::vector<std::int16_t> levels;  ///< [N * D], -1: a gap
    std::vector<double> log_recorded;  ///< [N]: sum of Encoding::log_recorded over what is known
  };
  /// Throws SpecError for a column that is missing, a label that the schema has not, and a text
  /// that is no number or date, with the row.
  Rows encode(const Scan& scan) const;

 private:
  void encode_column(const ScannedColumn& from, std::int64_t variable, const std::string& file,
                     Rows& rows) const;
  std::vector<Encoding> encodings_;
};

/// The numbers of a column, or the seconds of its dates; NaN: missing.
std::vector<double> numbers_of(const ScannedColumn& from, const Column& column,
                               const std::string& file);

}  // namespace marginalia::csv
