#include <algorithm>
#include <ostream>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/state_space.h>

#include "verbs.h"
#include "writer.h"

namespace marginalia::tables {
namespace {

constexpr std::pair<const char*, double> kQuantiles[] = {
    {"_low", 0.05}, {"_predicted", 0.5}, {"_high", 0.95}};

std::vector<std::string> columns_of(const Encoding& target) {
  std::vector<std::string> columns;
  if (target.column().has_density()) {
    for (const auto& [name, _] : kQuantiles)
      columns.emplace_back(name);
  } else {
    columns.emplace_back("_predicted");
    for (std::int64_t k = 0; k < target.levels(); ++k)
      columns.push_back(fmt::format("_p({})", target.range(k)));
  }
  return columns;
}

/// p: of the levels, [K].
void add_prediction(const Encoding& target, const double* p, std::vector<Field>& fields) {
  if (target.column().has_density()) {
    for (const auto& [_, q] : kQuantiles)
      fields.push_back({target.quantile(p, q), target.column().kind == Kind::kNumber});
    return;
  }
  const auto best = std::max_element(p, p + target.levels()) - p;
  fields.push_back({target.range(best)});
  for (std::int64_t k = 0; k < target.levels(); ++k)
    fields.push_back(number_field(p[k]));
}

}  // namespace

void predict(const ToolContext& context, const Options& options, std::ostream& out) {
  const TableRun run(context, options.run);
  const auto i = run.variable(options.column);
  const auto& target = run.encoding(i);
  const FileRows rows(run, read_named(options.file), options.unseen_missing, {options.column});
  auto columns = rows.columns();
  std::ranges::copy(columns_of(target), std::back_inserter(columns));

  auto known = rows.levels().clone();
  known.select(1, i).fill_(kUnknown);
  Stream stream(0, "table/predict");
  const auto p =
      run.ask(QueryKind::kConditionals, known, stream).value.select(1, i).exp().contiguous();
  Writer writer(columns, options.json, options.out, out);
  rows.for_each([&](std::int64_t row, const FileRows::Fields& from) {
    auto fields = fields_of(from);
    add_prediction(target, p.data_ptr<double>() + row * p.size(1), fields);
    writer.row(fields);
  });
  writer.finish();
}

}  // namespace marginalia::tables
