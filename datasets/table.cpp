/// \file
/// Tables of small integers: one row a state, values separated by tabs, commas, semicolons or
/// blanks.
///
/// By name, the 20 density estimation benchmark datasets (DEBD) and others in the same form: nltcs,
/// msnbc, kdd, ... Sources: Lowd and Davis (2010), ICDM; Van Haaren and Davis (2012), AAAI; the
/// files: github.com/UCLA-StarAI/Density-Estimation-Datasets.
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/files.h>
#include <marginalia/plugin.h>
#include <marginalia/source.h>

#include "published_tables.h"
#include "table_file.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

constexpr std::array kSplits{Split::kTrain, Split::kValid, Split::kTest};
constexpr std::int64_t kMaxLevels = 256;  // values are kept as bytes

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
    std::string header = "auto";
    std::int64_t levels = 0;
    std::vector<std::int64_t> cardinalities;
    void visit(ParamVisitor& p) {
      p("name", name, {.doc = "reads FOLDER/NAME.{train,valid,test}.data[.gz], as nltcs"});
      p("folder", folder, {.doc = "where name is looked for, and in its subfolder extra"});
      p("train", train, {.doc = "file of the training split, in place of name"});
      p("valid", valid, {.doc = "file of the validation split"});
      p("test", test, {.doc = "file of the test split"});
      p("header", header,
        {.doc = "whether the first line of a file names its columns; auto: where it holds a word "
                "that is no number",
         .one_of = {"auto", "yes", "no"}});
      p("levels", levels,
        {.doc = "K, values of every variable; 0: of each one more than the largest of its column "
                "in any split, at least 2",
         .min = 0,
         .max = kMaxLevels});
      p("cardinalities", cardinalities,
        {.doc = "K_i, values of each variable, in place of levels: [2, 5, 3]",
         .min = 2,
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
    if (auto path = find_packed(folder / file); !path.empty()) return path;
  missing += fmt::format("\n  - {}, or that with .gz or .zip", file);
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

/// Columns are the same variables in every split: names that differ are of others, or in another
/// order.
void check_names(const std::vector<std::string>& before, const std::vector<std::string>& names,
                 const fs::path& file) {
  if (before.empty() || names.empty() || before == names) return;
  const auto at = std::ranges::mismatch(before, names);
  throw SpecError(
      fmt::format("{}: names its columns otherwise than the splits before: column {} is "
                  "\"{}\" here and \"{}\" there",
                  file.string(), at.in2 - names.begin() + 1, at.in2 == names.end() ? "" : *at.in2,
                  at.in1 == before.end() ? "" : *at.in1));
}

table::Format read_format(const Table::Params& params) {
  if (params.levels == 1) throw SpecError("\"levels\" must be 2 at least, or 0, not 1");
  if (params.levels > 0 && !params.cardinalities.empty())
    throw SpecError("give \"levels\", one number for all columns, or \"cardinalities\", one for "
                    "each, not both");
  return {params.header, params.levels > 0 ? params.levels : kMaxLevels, params.cardinalities};
}

/// K_i as they are given, else one more than the largest value of a column in any split, at
/// least 2.
std::vector<std::int64_t> find_cardinalities(const std::array<Tensor, 3>& splits,
                                             const Table::Params& params) {
  if (!params.cardinalities.empty()) return params.cardinalities;
  const auto D = splits[0].size(1);
  if (params.levels > 0) return std::vector<std::int64_t>(std::size_t(D), params.levels);
  auto largest = torch::ones({D}, torch::kLong);
  for (const auto& rows : splits)
    largest = largest.maximum(rows.amax(0).to(torch::kLong));
  const auto cardinalities = largest + 1;
  return {cardinalities.data_ptr<std::int64_t>(), cardinalities.data_ptr<std::int64_t>() + D};
}

Table::Table(const Params& params) {
  auto format = read_format(params);
  const auto files = find_files(params);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto rows = table::read_rows(TextFile(files[i]), format);
    check_names(names, rows.names, files[i]);
    if (names.empty()) names = rows.names;
    format.width = rows.width;
    rows_[i] = torch::tensor(rows.values, torch::kByte).view({-1, rows.width});
  }
  space_ = {find_cardinalities(rows_, params), {format.width}};
  space_.names = names;
}

}  // namespace

MARGINALIA_PLUGIN(Table);
