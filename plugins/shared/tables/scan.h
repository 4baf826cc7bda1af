#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include <marginalia/text_file.h>

#include "cells.h"

namespace marginalia::tables {

/// A table, of which no line is longer than 16 MiB.
marginalia::TextFile open_text(const std::filesystem::path& file);

/// How a file of columns is written; what is empty or "auto" is found.
struct Form {
  char separator = '\0';        ///< between fields, ' ' for blanks; '\0': found
  std::string header = "auto";  ///< whether the first line names the columns: "auto", "yes", "no"
  std::vector<std::string> names = {};    ///< of the columns, in the place of the file's
  std::vector<std::string> missing = {};  ///< marks of what is not known; empty: usual_missing()
  std::string strip = {};                 ///< as of Marks
};

/// What all rows say of one column, whatever kind it is of.
class ScannedColumn {
 public:
  explicit ScannedColumn(std::string column) : name(std::move(column)) {}
  void add(std::string_view field, const Marks& marks);
  void finish();  ///< after the last row

  /// Texts that differ, where they are at most this many; of numbers fewer are enough.
  static constexpr std::size_t kMostLabels = 65536, kMostNumbers = 4096;

  std::string name;
  std::int64_t missing = 0;
  bool many = false;                ///< more texts than that
  std::vector<std::string> labels;  ///< in the order in which they are met; none where many
  std::vector<std::int32_t> codes;  ///< [N] into labels, -1: missing; none where many
  bool comma = false;               ///< numbers are written 2,5
  std::vector<double> numbers;      ///< [N], NaN: missing; none where some text is no number
  int decimals = 0;                 ///< that nearly all numbers do with; more are rounded
  bool leading_zeros = false;       ///< some number is written as 02208
  std::vector<DateForm> dates;      ///< in which every text is a date

  bool numeric() const { return numeric_ && present() > 0; }
  std::int64_t rows() const { return rows_; }
  std::int64_t present() const { return rows_ - missing; }
  /// How many texts differ; where many, some number below.
  std::int64_t distinct() const {
    return many ? std::int64_t(kMostNumbers) + 1 : std::ssize(labels);
  }

 private:
  void add_label(std::string_view field);
  void add_number(std::string_view field);
  void add_date(std::string_view field);

  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> code_of_;
  std::array<std::int64_t, 18> with_decimals_{};  // numbers by how many they have
  std::int64_t rows_ = 0;
  bool numeric_ = true, point_ = false, first_date_ = true;
};

/// All columns of a file.
struct Scan {
  std::string file;
  bool header = false;    ///< its first line names the columns
  char separator = '\0';  ///< as of Form
  Marks marks;
  std::int64_t rows = 0;
  std::vector<ScannedColumn> columns;
};

/// Reads a file of one record a row. Throws SpecError, with the line, for rows of unequal length,
/// names that stand twice, and a file without rows.
Scan scan(const marginalia::TextFile& file, const Form& form);

}  // namespace marginalia::tables
