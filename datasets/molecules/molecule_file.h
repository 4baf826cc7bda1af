/// \file
/// Molecules in text files: a column of a .csv or .tsv, else the first word of each line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/text_file.h>

namespace marginalia::molecules {

/// One molecule as the file has it, and the line it begins on.
struct Entry {
  std::string_view text;  ///< into the file's bytes
  std::int64_t line;
};

/// What is said of a file beside its name.
struct FileForm {
  std::string column = {};      ///< of a .csv or .tsv, by its name; empty: the first
  std::string header = "auto";  ///< whether the first line is one: "yes", "no", or as it looks
  bool is_selfies = false;      ///< what its molecules are written in; else SMILES
};

/// The molecules of a text file. Blank lines are none.
class MoleculeFile {
 public:
  /// The ending of the file's name, below .gz or .zip, says whether it has columns. Throws
  /// SpecError where it is not of this form.
  explicit MoleculeFile(TextFile file, const FileForm& form = {});

  const std::vector<Entry>& entries() const { return entries_; }
  std::string place(const Entry& entry) const { return file_.place(entry.line); }

 private:
  void read_lines(const FileForm& form);
  void read_table(const FileForm& form);
  void add(const RecordReader& record, std::size_t column);

  TextFile file_;
  std::vector<Entry> entries_;
};

}  // namespace marginalia::molecules
