#include "molecule_file.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/unpack.h>

#include "trim.h"

namespace marginalia::molecules {

namespace {

bool is_csv(std::filesystem::path file) {
  if (file.extension() == ".gz" || file.extension() == ".zip") file.replace_extension();
  return file.extension() == ".csv";
}

/// The fields of a .csv one by one. A field in double quotes may hold commas and line ends.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}

  bool done() const { return at_ >= text_.size(); }
  std::int64_t line() const { return line_; }  ///< of the next record

  std::vector<std::string_view> record() {
    std::vector<std::string_view> fields;
    while (field(fields)) {
    }
    ++line_;
    return fields;
  }

 private:
  /// -> whether another one follows in this record.
  bool field(std::vector<std::string_view>& fields) {
    const auto from = at_;
    bool quoted = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') quoted = !quoted;
      if (quoted && c == '\n') ++line_;
      if (!quoted && (c == ',' || c == '\n')) break;
    }
    auto value = trim(text_.substr(from, at_ - from));
    if (value.size() > 1 && value.front() == '"' && value.back() == '"')
      value = trim(value.substr(1, value.size() - 2));
    fields.push_back(value);
    return at_ < text_.size() && text_[at_++] == ',';
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace

MoleculeFile::MoleculeFile(const std::filesystem::path& file, const std::string& column)
    : file_(file) {
  const auto text = read_unpacked(file);
  bytes_.assign(text.begin(), text.end());
  if (is_csv(file))
    read_csv(column);
  else if (column.empty())
    read_lines();
  else
    throw SpecError(fmt::format("{}: has no columns; \"column\" is for .csv", file.string()));
  if (entries_.empty())
    throw SpecError(fmt::format("{}: has no molecules; it needs one at least", file.string()));
}

void MoleculeFile::read_lines() {
  std::string_view rest(bytes_.data(), bytes_.size());
  for (std::int64_t line = 1; !rest.empty(); ++line) {
    const auto end = rest.find('\n');
    const auto text = trim(rest.substr(0, end));
    if (!text.empty()) entries_.push_back({text.substr(0, text.find_first_of(kBlanks)), line});
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
}

void MoleculeFile::read_csv(const std::string& column) {
  CsvReader reader({bytes_.data(), bytes_.size()});
  const auto header = reader.record();
  const auto at = column.empty() ? header.begin() : std::ranges::find(header, column);
  if (at == header.end())
    throw SpecError(fmt::format("{}: has no column \"{}\"; there is: {}", file_.string(), column,
                                fmt::join(header, ", ")));
  const auto index = static_cast<std::size_t>(at - header.begin());
  while (!reader.done()) {
    const auto line = reader.line();
    const auto fields = reader.record();
    if (fields.size() == 1 && fields[0].empty()) continue;  // a blank line
    if (fields.size() <= index)
      throw SpecError(fmt::format("{}:{}: has {} columns; the molecule is in number {}",
                                  file_.string(), line, fields.size(), index + 1));
    entries_.push_back({fields[index], line});
  }
}

std::string MoleculeFile::place(const Entry& entry) const {
  return fmt::format("{}:{}", file_.string(), entry.line);
}

}  // namespace marginalia::molecules
