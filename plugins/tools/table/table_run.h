#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/query.h>
#include <marginalia/stream.h>
#include <marginalia/tool.h>

#include "options.h"
#include "shared/tables/rows.h"
#include "shared/tables/values.h"

/// B rows, D variables, K levels at most.
namespace marginalia::tables {

/// A trained run of a table.
class TableRun {
 public:
  /// Throws SpecError where the run is not of a table.
  TableRun(const ToolContext& context, const std::string& folder);

  const Table& table() const { return table_; }
  const Encoding& encoding(std::int64_t i) const { return table_.variables[i]; }
  const TrainedRun& run() const { return *run_; }
  std::int64_t dimension() const { return table_.variables.count(); }
  std::vector<std::string> names() const;                ///< of the variables
  std::int64_t variable(const std::string& name) const;  ///< throws SpecError with the nearest

  Tensor nothing_known(std::int64_t rows) const;  ///< int64 [rows, D], expanded
  /// What is left of all variables, as Evidence has it: float64 [rows, D, K], expanded.
  Tensor allowed(const std::vector<ValueSet>& values, std::int64_t rows) const;

  /// Whether log p of conditions is exact.
  bool sums_exactly() const;
  /// Answers, some rows at a time; of samples the states alone. `by`: how, in what is not of the
  /// evidence.
  Answer ask(QueryKind kind, const Evidence& known, Stream& stream, const Query& by = {}) const;

 private:
  std::shared_ptr<const TrainedRun> run_;
  Table table_;
};

/// A file that a user names; "-" is stdin.
TextFile read_named(const std::string& file);

/// The rows of a file, as a model takes them and as they stand.
class FileRows {
 public:
  /// The file has the columns of the model's table, but for `optional` ones. Throws SpecError where
  /// it has not, and for labels never seen unless they are to be taken as missing.
  FileRows(const TableRun& run, TextFile file, bool unseen_missing,
           const std::vector<std::string>& optional = {});

  const TextFile& text() const { return text_; }
  std::int64_t count() const { return levels_.size(0); }
  const Tensor& levels() const { return levels_; }              ///< int64 [N, D]
  const Tensor& log_recorded() const { return log_recorded_; }  ///< float64 [N, D]; 0: no density
  const std::vector<std::string>& columns() const { return columns_; }
  /// Where the column of each variable stands in the file: [D], -1: nowhere.
  const std::vector<std::int64_t>& places() const { return places_; }

  using Fields = std::vector<std::string_view>;
  /// Calls at(row, fields) for every row, with its fields as they stand.
  void for_each(const std::function<void(std::int64_t, const Fields&)>& at) const;

 private:
  TextFile text_;
  char separator_;
  bool header_;
  std::vector<std::string> columns_;
  std::vector<std::int64_t> places_;
  Tensor levels_, log_recorded_;
};

}  // namespace marginalia::tables
