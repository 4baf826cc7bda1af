/// \file
/// Molecules in text files: .csv with a header, else the first word of each line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace marginalia::molecules {

/// One molecule as the file has it, and the line it begins on.
struct Entry {
  std::string_view text;  ///< into the file's bytes
  std::int64_t line;
};

/// A file that was read, plain or packed. Blank lines are no molecules.
class MoleculeFile {
 public:
  /// column: of a .csv, by its name in the header; empty: the first. Throws SpecError.
  MoleculeFile(const std::filesystem::path& file, const std::string& column);
  MoleculeFile(MoleculeFile&&) = default;

  const std::vector<Entry>& entries() const { return entries_; }
  std::string place(const Entry& entry) const;  ///< "FILE:LINE"

 private:
  void read_lines();
  void read_csv(const std::string& column);

  std::filesystem::path file_;
  std::vector<char> bytes_;  // moved without moving what entries_ point to
  std::vector<Entry> entries_;
};

}  // namespace marginalia::molecules
