#pragma once

#include <fstream>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace marginalia::tables {

/// A field of what is written.
struct Field {
  std::string text;
  bool is_number = false;  ///< in JSON without quotes
};
Field number_field(double value, int digits = 6);  ///< digits that count
std::vector<Field> fields_of(const std::vector<std::string_view>& record);

/// Rows of named fields, as CSV or as JSON Lines. Into a file they are written whole or not at all.
class Writer {
 public:
  /// file: empty for `out`.
  Writer(std::vector<std::string> columns, bool json, const std::string& file, std::ostream& out);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void row(const std::vector<Field>& fields);
  void finish();  ///< puts the file in its place

 private:
  std::vector<std::string> columns_;
  bool json_;
  std::string file_, unfinished_;
  std::ofstream opened_;
  std::ostream& out_;
};

}  // namespace marginalia::tables
