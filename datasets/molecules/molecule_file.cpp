#include "molecule_file.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

#include "shared/selfies/selfies.h"

namespace marginalia::molecules {

namespace {

std::string lower(std::string_view text) {
  std::string small(text);
  for (auto& c : small)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return small;
}

bool has_columns(const std::string& name) {
  std::filesystem::path file(lower(name));
  if (file.extension() == ".gz" || file.extension() == ".zip") file.replace_extension();
  return file.extension() == ".csv" || file.extension() == ".tsv";
}

/// Of a first line without columns: no molecule can begin so.
bool is_title(std::string_view word) {
  const auto small = lower(word);
  return small.find("smiles") != small.npos || small.find("selfies") != small.npos;
}

/// Whether the first record of a table is its header.
bool is_header(const RecordReader& first, const FileForm& form) {
  if (form.header != "auto") return form.header == "yes";
  const auto& fields = first.fields();
  if (!form.column.empty() && std::ranges::count(fields, form.column) > 0) return true;
  if (!(form.is_selfies ? selfies::is_selfies(fields[0]) : selfies::is_smiles(fields[0])))
    return true;
  if (!form.column.empty())
    first.fail(fmt::format("has no column \"{}\", and begins with a molecule, {}; \"header\": "
                           "\"yes\" says that it is the header all the same",
                           form.column, fields[0]));
  warn(fmt::format("{}: the first line is read as a molecule, {}, and not as a header; \"header\": "
                   "\"no\" or \"yes\" says which it is",
                   first.file().place(first.line()), fields[0]));
  return false;
}

/// Which column of a table with this header has the molecules.
std::size_t find_column(const RecordReader& header, const FileForm& form) {
  const auto& names = header.fields();
  if (form.column.empty()) {
    if (names[0].empty() && names.size() > 1)
      header.fail(fmt::format("the first column has no name, so that it is an index of the rows; "
                              "give \"column\", one of: {}",
                              fmt::join(names.begin() + 1, names.end(), ", ")));
    return 0;
  }
  const auto at = std::ranges::find(names, form.column);
  if (at == names.end())
    header.fail(
        fmt::format("has no column \"{}\"; there is: {}", form.column, fmt::join(names, ", ")));
  return static_cast<std::size_t>(at - names.begin());
}

}  // namespace

MoleculeFile::MoleculeFile(TextFile file, const FileForm& form) : file_(std::move(file)) {
  if (has_columns(file_.name()))
    read_table(form);
  else
    read_lines(form);
  if (entries_.empty())
    throw SpecError(fmt::format("{}: has no molecules; it needs one at least", file_.name()));
}

void MoleculeFile::read_lines(const FileForm& form) {
  if (!form.column.empty())
    throw SpecError(
        fmt::format("{}: has no columns; \"column\" is for .csv and .tsv", file_.name()));
  bool is_first = true;
  for (LineReader lines(file_.text()); lines.next();) {
    auto line = lines.line();
    const auto from = line.find_first_not_of(kBlanks);
    if (from == line.npos) continue;
    line.remove_prefix(from);
    const auto word = line.substr(0, line.find_first_of(kBlanks));
    const bool is_header =
        is_first && (form.header == "auto" ? is_title(word) : form.header == "yes");
    is_first = false;
    if (is_header) continue;
    if (form.is_selfies && trim(line.substr(word.size())).starts_with('['))
      file_.fail(lines.number(), "a blank stands between tokens; write them as [C][=O]");
    entries_.push_back({word, lines.number()});
  }
}

void MoleculeFile::read_table(const FileForm& form) {
  if (form.header == "no" && !form.column.empty())
    throw SpecError(fmt::format("{}: \"column\" is a name in a header, and \"header\": \"no\" says "
                                "that there is none; molecules are then read from the first column",
                                file_.name()));
  RecordReader records(file_);
  if (!records.next()) return;
  std::size_t column = 0;
  if (is_header(records, form))
    column = find_column(records, form);
  else
    add(records, column);
  while (records.next())
    add(records, column);
}

void MoleculeFile::add(const RecordReader& record, std::size_t column) {
  const auto& fields = record.fields();
  if (fields.size() <= column)
    record.fail(
        fmt::format("has {} columns; the molecule is in number {}", fields.size(), column + 1));
  entries_.push_back({fields[column], record.line()});
}

}  // namespace marginalia::molecules
