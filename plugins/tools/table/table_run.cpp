#include "table_run.h"

#include <algorithm>
#include <iostream>
#include <iterator>

#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/dataset.h>
#include <marginalia/error.h>
#include <marginalia/family.h>

namespace marginalia::tables {

static std::shared_ptr<const TrainedRun> open(const ToolContext& context,
                                              const std::string& folder) {
  auto run = context.open(folder);
  if (run->description().is_null())
    throw SpecError(fmt::format("{}: is no run of a table: nothing is kept of its columns; runs of "
                                "the dataset csv have that",
                                folder));
  return run;
}

TableRun::TableRun(const ToolContext& context, const std::string& folder)
    : run_(open(context, folder)), table_(table_from_json(run_->description(), folder)) {
  std::vector<std::int64_t> levels;
  for (std::int64_t i = 0; i < dimension(); ++i)
    levels.push_back(encoding(i).levels());
  if (levels != run_->family().space().cardinalities)
    throw SpecError(
        fmt::format("{}: its file is not what it was trained on: the columns have other "
                    "values now",
                    folder));
}

std::vector<std::string> TableRun::names() const {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < dimension(); ++i)
    names.push_back(encoding(i).column().name);
  return names;
}

std::int64_t TableRun::variable(const std::string& name) const {
  const auto all = names();
  const auto at = std::ranges::find(all, name);
  if (at == all.end()) throw SpecError(unknown_name("column", name, all));
  return at - all.begin();
}

Tensor TableRun::nothing_known(std::int64_t rows) const {
  return torch::full({1, dimension()}, kUnknown, torch::kLong).expand({rows, dimension()});
}

Tensor TableRun::allowed(const std::vector<ValueSet>& values, std::int64_t rows) const {
  const auto K = run_->family().space().levels();
  auto allowed = torch::ones({dimension(), K}, torch::kDouble);
  for (std::int64_t i = 0; i < dimension(); ++i) {
    const auto shares = values[std::size_t(i)].shares();
    for (std::size_t k = 0; k < shares.size(); ++k)
      allowed[i][std::int64_t(k)] = shares[k];
  }
  return allowed.expand({rows, dimension(), K});
}

bool TableRun::sums_exactly() const {
  for (const auto& way : run_->family().capabilities())
    if (way.kind == QueryKind::kLogMarginal && way.sets) return way.status == Status::kExact;
  return false;
}

Answer TableRun::ask(QueryKind kind, const Evidence& known, Stream& stream, const Query& by) const {
  constexpr std::int64_t kCells = 1 << 22;
  const auto& family = run_->family();
  const auto rows = std::max<std::int64_t>(1, kCells / (dimension() * family.space().levels()));
  Answer all;
  std::vector<Tensor> values, states;
  std::int64_t at = 0;
  for (const auto& part : known.split(rows)) {
    auto query = by;
    query.kind = kind;
    query.partial = part.partial;
    query.allowed = part.allowed;
    query.states_alone = true;
    if (by.given.defined()) query.given = by.given.slice(0, at, at + part.rows());
    at += part.rows();
    all = family.answer(query, stream);
    if (all.states.defined())
      states.push_back(all.states);
    else
      values.push_back(all.value);
  }
  if (!values.empty()) all.value = torch::cat(values);
  if (!states.empty()) all.states = torch::cat(states);
  return all;
}

TextFile read_named(const std::string& file) {
  if (file != "-") return open_text(file);
  return {"stdin", std::string(std::istreambuf_iterator<char>(std::cin), {})};
}

/// How a file must be written that has columns of this table: as the table's own was, but for what
/// separates its fields.
static Form form_of(const Schema& schema) {
  Form form{.missing = schema.marks.missing, .strip = schema.marks.strip};
  if (schema.header) {
    form.header = "yes";
    return form;
  }
  form.header = "no";
  for (const auto& column : schema.columns)
    form.names.push_back(column.name);
  return form;
}

FileRows::FileRows(const TableRun& run, TextFile file, bool unseen_missing,
                   const std::vector<std::string>& optional)
    : text_(std::move(file)) {
  const auto scan = tables::scan(text_, form_of(run.table().schema));
  separator_ = scan.separator;
  header_ = scan.header;
  for (const auto& column : scan.columns)
    columns_.push_back(column.name);
  for (const auto& name : run.names()) {
    const auto at = std::ranges::find(columns_, name);
    places_.push_back(at == columns_.end() ? -1 : at - columns_.begin());
  }
  const auto unseen = unseen_missing ? Variables::Unseen::kMissing : Variables::Unseen::kRefuse;
  const auto rows = run.table().variables.encode(scan, unseen, optional);
  levels_ = torch::tensor(rows.levels, torch::kShort).view({-1, run.dimension()}).to(torch::kLong);
  log_recorded_ = rows.log_recorded.empty()
                      ? torch::zeros_like(levels_, torch::kDouble)
                      : torch::tensor(rows.log_recorded, torch::kDouble).view_as(levels_);
}

void FileRows::for_each(const std::function<void(std::int64_t, const Fields&)>& at) const {
  RecordReader records(text_, {}, separator_);
  if (header_) records.next();
  for (std::int64_t row = 0; records.next(); ++row)
    at(row, records.fields());
}

}  // namespace marginalia::tables
