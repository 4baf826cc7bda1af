#include <algorithm>
#include <memory>
#include <ostream>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/random.h>
#include <marginalia/state_space.h>

#include "verbs.h"
#include "writer.h"

namespace marginalia::tables {
namespace {

/// Whether a variable of a row is a gap that a model fills.
bool is_gap(const FileRows& rows, std::int64_t row, std::int64_t i) {
  return rows.places()[std::size_t(i)] >= 0 &&
         rows.levels()[row][i].item<std::int64_t>() == kUnknown;
}

/// The rows with a gap: int64 [R].
Tensor rows_with_gaps(const FileRows& rows) {
  return (rows.levels() == kUnknown).any(1).nonzero().squeeze(1);
}

/// The most probable label, or the median of a number.
std::string best_value(const Encoding& encoding, const double* p) {
  if (encoding.column().has_density()) return encoding.quantile(p, 0.5);
  const auto labels = std::ssize(encoding.column().labels);  // a gap that is a value fills none
  return encoding.text(std::max_element(p, p + labels) - p, 0);
}

/// Of the rows with gaps, by their place among them: p of every variable, float64 [R, D, K].
struct Filled {
  Tensor place;  ///< int64 [N]: of a row among those with gaps
  Tensor p;
};
Filled fill(const TableRun& run, const FileRows& rows) {
  const auto with_gaps = rows_with_gaps(rows);
  Stream stream(0, "table/impute");
  Filled filled{torch::full({rows.count()}, -1, torch::kLong), {}};
  filled.place.index_put_({with_gaps}, torch::arange(with_gaps.size(0)));
  if (with_gaps.size(0) > 0)
    filled.p = run.ask(QueryKind::kConditionals, rows.levels().index_select(0, with_gaps), stream)
                   .value.exp()
                   .contiguous();
  return filled;
}

/// p of variable i of a row with gaps: [K].
const double* conditional(const Filled& filled, std::int64_t row, std::int64_t i) {
  const auto place = filled.place[row].item<std::int64_t>();
  return filled.p.data_ptr<double>() + (place * filled.p.size(1) + i) * filled.p.size(2);
}

void write_best(const TableRun& run, const Options& options, const FileRows& rows,
                std::ostream& out) {
  const auto filled = fill(run, rows);
  Writer writer(rows.columns(), options.json, options.out, out);
  rows.for_each([&](std::int64_t row, const FileRows::Fields& from) {
    auto fields = fields_of(from);
    for (std::int64_t i = 0; i < run.dimension(); ++i)
      if (is_gap(rows, row, i))
        fields[std::size_t(rows.places()[std::size_t(i)])].text =
            best_value(run.encoding(i), conditional(filled, row, i));
    writer.row(fields);
  });
  writer.finish();
}

void write_probabilities(const TableRun& run, const Options& options, const FileRows& rows,
                         std::ostream& out) {
  const auto filled = fill(run, rows);
  Writer writer({"row", "column", "value", "probability"}, options.json, options.out, out);
  for (std::int64_t row = 0; row < rows.count(); ++row)
    for (std::int64_t i = 0; i < run.dimension(); ++i) {
      if (!is_gap(rows, row, i)) continue;
      const auto* p = conditional(filled, row, i);
      for (std::int64_t k = 0; k < run.encoding(i).levels(); ++k)
        writer.row({{std::to_string(row + 1), true},
                    {run.encoding(i).column().name},
                    {run.encoding(i).range(k)},
                    number_field(p[k])});
    }
  writer.finish();
}

using Models = std::vector<std::unique_ptr<TableRun>>;

/// The runs whose draws are asked for; all of one table.
Models open_models(const ToolContext& context, const Options& options) {
  Models models;
  for (const auto& folder : options.models) {
    models.push_back(std::make_unique<TableRun>(context, folder));
    if (models.back()->names() != models.front()->names())
      throw SpecError(
          fmt::format("--models: {} has other columns than {}", folder, options.models.front()));
  }
  return models;
}

/// The draws one after the other, each of every row.
void write_draws(const ToolContext& context, const TableRun& first, const Options& options,
                 const FileRows& rows, std::ostream& out) {
  const auto others = open_models(context, options);
  if (!others.empty() && others.front()->names() != first.names())
    throw SpecError("--models: other columns than those of " + options.run);
  auto columns = rows.columns();
  columns.insert(columns.begin(), "_draw");
  Writer writer(columns, options.json, options.out, out);
  for (std::int64_t draw = 0; draw < options.draws; ++draw) {
    const auto turn = std::size_t(draw) % (others.size() + 1);
    const auto& run = turn == 0 ? first : *others[turn - 1];
    // Bins are of each model's own training rows.
    const FileRows own(run, rows.text(), options.unseen_missing);
    Stream stream(std::uint64_t(options.seed), "table/impute", std::uint64_t(draw));
    const auto states = run.ask(QueryKind::kSample, own.levels(), stream).states;
    SplitMix64 random(std::uint64_t(options.seed), std::uint64_t(draw + 1));
    rows.for_each([&](std::int64_t row, const FileRows::Fields& from) {
      auto fields = fields_of(from);
      for (std::int64_t i = 0; i < run.dimension(); ++i)
        if (is_gap(own, row, i))
          fields[std::size_t(rows.places()[std::size_t(i)])].text =
              run.encoding(i).text(states[row][i].item<std::int64_t>(), double(random.uniform()));
      fields.insert(fields.begin(), {std::to_string(draw + 1), true});
      writer.row(fields);
    });
  }
  writer.finish();
}

}  // namespace

void impute(const ToolContext& context, const Options& options, std::ostream& out) {
  const TableRun run(context, options.run);
  const FileRows rows(run, read_named(options.file), options.unseen_missing);
  if (options.draws > 0)
    write_draws(context, run, options, rows, out);
  else if (options.probabilities)
    write_probabilities(run, options, rows, out);
  else
    write_best(run, options, rows, out);
}

}  // namespace marginalia::tables
