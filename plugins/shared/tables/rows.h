#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "encoding.h"
#include "scan.h"
#include "schema.h"

namespace marginalia::tables {

/// The variables of a table, and the levels of its rows.
class Variables {
 public:
  explicit Variables(std::vector<Encoding> encodings) : encodings_(std::move(encodings)) {}
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
    std::vector<double> log_recorded;  ///< [N * D]: Encoding::log_recorded of what is known, else
                                       ///< 0; none where no variable has a density
  };
  enum class Unseen { kRefuse, kMissing };
  /// unseen: whether a label that the schema has not is refused, or not known. optional: variables
  /// that are unknown where the file has no such column. Throws SpecError for a column that is
  /// missing, such a label, and a text that is no number or date, with the row.
  Rows encode(const Scan& scan, Unseen unseen = Unseen::kRefuse,
              const std::vector<std::string>& optional = {}) const;
  bool has_density() const;

 private:
  void encode_column(const ScannedColumn& from, std::int64_t variable, const std::string& file,
                     Unseen unseen, Rows& rows) const;
  std::size_t cell(std::size_t row, std::int64_t variable) const {
    return row * std::size_t(count()) + std::size_t(variable);
  }
  std::vector<Encoding> encodings_;
};

/// A schema and the variables that it makes of training rows.
struct Table {
  Schema schema;
  Variables variables;
};
Json to_json(const Table& table);
/// The inverse; `where` is what messages call the JSON. Throws SpecError where it is none.
Table table_from_json(const Json& json, const std::string& where);

/// Throws SpecError, naming those that there are, where the file has no such column.
const ScannedColumn& column_named(const Scan& scan, const std::string& name);

/// The numbers of a column, or the seconds of its dates; NaN: missing.
std::vector<double> numbers_of(const ScannedColumn& from, const Column& column,
                               const std::string& file);

}  // namespace marginalia::tables
