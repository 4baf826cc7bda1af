/// \file
/// Tables of small integers: one row a state, values separated by commas, blanks or tabs, plain or
/// gzipped.
///
/// By name, the 20 density estimation benchmark datasets (DEBD) and others in the same form: nltcs,
/// msnbc, kdd, ... Sources: Lowd and Davis (2010), ICDM; Van Haaren and Davis (2012), AAAI; the
/// files: github.com/UCLA-StarAI/Density-Estimation-Datasets.
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/plugin.h>
#include <marginalia/source.h>
#include <marginalia/unpack.h>

#include "published_tables.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

constexpr std::array kSplits{Split::kTrain, Split::kValid, Split::kTest};
constexpr std::int64_t kMaxLevels = 256;  // values are kept as bytes

/// One split of a table, read line by line.
class TableReader {
 public:
  /// levels: what the values must stay below.
  TableReader(fs::path file, std::int64_t levels) : file_(std::move(file)), levels_(levels) {}

  /// The values, row after row. `width`: of the rows, or 0: then that of the first one.
  std::vector<std::uint8_t> read(std::int64_t& width) {
    const auto text = read_unpacked(file_);
    values_.reserve(text.size() / 2);
    for (std::string_view rest = text; !rest.empty();) {
      const auto end = rest.find('\n');
      ++line_;
      const auto count = read_line(rest.substr(0, end));
      rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
      if (count == 0) continue;  // a blank line
      if (width == 0) width = count;
      if (count != width)
        fault(fmt::format("{} values, but the rows before have {}", count, width));
    }
    if (values_.empty())
      throw SpecError(fmt::format("{}: has no rows; a split needs one at least", file_.string()));
    return std::move(values_);
  }

 private:
  /// Takes the values of one line. -> how many.
  std::int64_t read_line(std::string_view line) {
    constexpr std::string_view kBlanks = " \t\r", kEnds = " \t\r,";
    const auto skip_blanks = [&] {
      while (!line.empty() && kBlanks.find(line.front()) != kBlanks.npos)
        line.remove_prefix(1);
    };
    std::int64_t count = 0;
    for (skip_blanks(); !line.empty(); ++count) {
      const auto word = line.substr(0, line.find_first_of(kEnds));
      values_.push_back(parse_value(word));
      line.remove_prefix(word.size());
      skip_blanks();
      if (line.empty() || line.front() != ',') continue;
      line.remove_prefix(1);
      skip_blanks();
      if (line.empty()) fault("nothing follows the last comma; each needs a value after it");
    }
    return count;
  }

  std::uint8_t parse_value(std::string_view word) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size())
      fault(fmt::format("\"{}\" is not an integer; values are 0 to {}", word, levels_ - 1));
    if (value < 0 || value >= levels_)
      fault(fmt::format("{} is out of range; values are 0 to {}", value, levels_ - 1));
    return static_cast<std::uint8_t>(value);
  }

  [[noreturn]] void fault(const std::string& what) const {
    throw SpecError(fmt::format("{}:{}: {}", file_.string(), line_, what));
  }

  fs::path file_;
  std::int64_t levels_, line_ = 0;
  std::vector<std::uint8_t> values_;
};

class Table final : public Dataset {
 public:
  static constexpr const char* kName = "table";
  static constexpr const char* kSummary =
      "rows of small integers from text files, as the DEBD sets";
  static constexpr const char* kSource =
      "Lowd and Davis (2010), ICDM; Van Haaren and Davis (2012), AAAI; "
      "github.com/UCLA-StarAI/Density-Estimation-Datasets";
  static constexpr const char* kExample = R"({"name": "tiny"})";

  static std::vector<PublicFile> sources();

  struct Params {
    std::string name;
    FilePath folder{"density", {}}, train, valid, test;
    std::int64_t levels = 0;
    void visit(ParamVisitor& p) {
      p("name", name, {.doc = "reads FOLDER/NAME.{train,valid,test}.data[.gz], as nltcs"});
      p("folder", folder, {.doc = "where name is looked for, and in its subfolder extra"});
      p("train", train, {.doc = "file of the training split, in place of name"});
      p("valid", valid, {.doc = "file of the validation split"});
      p("test", test, {.doc = "file of the test split"});
      p("levels", levels,
        {.doc = "K, values of a variable; 0: one more than the largest, at least 2",
         .min = 0,
         .max = kMaxLevels});
    }
  };

  explicit Table(const Params& params);

  const StateSpace& space() const override { return space_; }
  std::int64_t size(Split split) const override { return of(split).size(0); }

 private:
  Tensor compute_rows(Split split, const Tensor& indices, std::uint64_t) const override {
    return of(split).index_select(0, indices).to(torch::kLong);
  }
  const Tensor& of(Split split) const { return rows_[static_cast<std::size_t>(split)]; }

  std::array<Tensor, 3> rows_;  // uint8 [N, D]
  StateSpace space_;
};

std::vector<PublicFile> Table::sources() {
  std::vector<PublicFile> all;
  for (const auto& table : kPublishedTables) {
    const auto file = fs::path(table.name).filename().string() + ".data";  // NAME.SPLIT.data
    all.push_back({fmt::format("density/{}.data", table.name),
                   fmt::format("https://raw.githubusercontent.com/UCLA-StarAI/"
                               "Density-Estimation-Datasets/master/datasets/{}/{}",
                               file.substr(0, file.find('.')), file),
                   table.bytes, fmt::format("sha256:{}", table.sha256)});
  }
  return all;
}

/// Where the split of a named table is; if nowhere, it stands in `missing`.
fs::path find_named(const Table::Params& params, Split split, std::string& missing) {
  const auto file = fmt::format("{}.{}.data", params.name, to_string(split));
  for (const auto& folder : {params.folder.found, params.folder.found / "extra"})
    for (const auto& ending : {"", ".gz"})
      if (auto path = folder / (file + ending); fs::is_regular_file(path)) return path;
  missing += fmt::format("\n  - {}[.gz]", file);
  return {};
}

fs::path find_given(const FilePath& file, Split split, std::string& missing) {
  if (fs::is_regular_file(file.found)) return file.found;
  missing += fmt::format("\n  - \"{}\": {}", to_string(split), file.found.string());
  return {};
}

/// The files of the three splits, or one message about all that are missing.
std::array<fs::path, 3> find_files(const Table::Params& params) {
  const std::array given{params.train, params.valid, params.test};
  const auto named = std::ranges::count_if(given, [](const FilePath& f) { return bool(f); });
  if (named != (params.name.empty() ? 3 : 0))
    throw SpecError("give \"name\", or \"train\", \"valid\" and \"test\", not some of both");

  std::array<fs::path, 3> files;
  std::string missing;
  for (std::size_t i = 0; i < kSplits.size(); ++i)
    files[i] = params.name.empty() ? find_given(given[i], kSplits[i], missing)
                                   : find_named(params, kSplits[i], missing);
  if (missing.empty()) return files;
  if (params.name.empty())
    throw SpecError(fmt::format("files are missing, looked for beside the spec and in the data "
                                "directory (--data DIR, $MARGINALIA_DATA):{}",
                                missing));
  throw SpecError(fmt::format(
      "files are missing:{}\n  looked for in: {} and its subfolder extra\n  those of "
      "github.com/UCLA-StarAI/Density-Estimation-Datasets (DEBD) come with: marginalia "
      "data fetch table {}\n  or name the data directory where they are with --data DIR "
      "or $MARGINALIA_DATA",
      missing, params.folder.found.string(), params.name));
}

Table::Table(const Params& params) {
  if (params.levels == 1) throw SpecError("\"levels\" must be 2 at least, or 0, not 1");
  const auto files = find_files(params);
  std::int64_t D = 0, K = std::max<std::int64_t>(params.levels, 2);
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto values =
        TableReader(files[i], params.levels == 0 ? kMaxLevels : params.levels).read(D);
    rows_[i] = torch::tensor(values, torch::kByte).view({-1, D});
    K = std::max<std::int64_t>(K, *std::ranges::max_element(values) + 1);
  }
  space_ = StateSpace::uniform(D, K);
}

}  // namespace

MARGINALIA_PLUGIN(Table);
