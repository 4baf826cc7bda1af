#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <marginalia/text_file.h>

namespace marginalia::table {

/// The rows of a table of small integers, one after the other.
struct Rows {
  std::int64_t width = 0;
  std::vector<std::uint8_t> values;  ///< [N * width]
  std::vector<std::string> names;    ///< of the columns; empty where there is no header
};

/// How a table is read.
struct Format {
  std::string header = "auto";  ///< whether the first line names the columns: "auto", "yes", "no"
  std::int64_t levels = 256;    ///< what the values have to stay below, at most 256
  std::vector<std::int64_t> cardinalities = {};  ///< the same of each column; empty: levels of all
  std::int64_t width = 0;                        ///< of the rows; 0: that of the first one

  std::int64_t limit(std::size_t column) const {
    return cardinalities.empty() ? levels : cardinalities[column];
  }
};

/// Reads a row a line, values separated by tabs, commas, semicolons or blanks (RecordReader); lines
/// that begin with # are comments. With "auto" a first line that holds a word is a header, and is
/// said to be; one that may be either, or an index of rows, is refused. Throws SpecError with the
/// line that is wrong.
Rows read_rows(const marginalia::TextFile& file, const Format& format);

}  // namespace marginalia::table
