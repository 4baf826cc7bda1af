#include <algorithm>
#include <cmath>
#include <numeric>
#include <ostream>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/error.h>
#include <marginalia/random.h>

#include "verbs.h"
#include "writer.h"

namespace marginalia::tables {
namespace {

/// log p(x_i | the rest) of the level of variable i in each row: float64 [N]. By an exact family it
/// is the difference of two sums, which is cheaper than the conditionals of all variables.
Tensor log_given_rest(const TableRun& run, const Tensor& levels, std::int64_t i,
                      const Answer& of_rows, Stream& stream) {
  auto rest = levels.clone();
  rest.select(1, i).fill_(kUnknown);
  if (of_rows.status == Status::kExact)
    return of_rows.value - run.ask(QueryKind::kLogMarginal, rest, stream).value;
  const auto log_p = run.ask(QueryKind::kConditionals, rest, stream).value.select(1, i);
  return log_p.gather(1, levels.select(1, i).clamp_min(0).unsqueeze(1)).squeeze(1);
}

/// -log p(cell | the rest of its row), of the value as recorded; NaN where it is unknown.
/// levels: int64 [N, D]; log_recorded: float64 [N, D]  ->  float64 [N, D].
Tensor surprises(const TableRun& run, const Tensor& levels, const Tensor& log_recorded) {
  Stream stream(0, "table/score");
  const auto of_rows = run.ask(QueryKind::kLogMarginal, levels, stream);
  std::vector<Tensor> all;
  for (std::int64_t i = 0; i < run.dimension(); ++i) {
    const auto log_p = log_given_rest(run, levels, i, of_rows, stream);
    all.push_back(
        (-log_p - log_recorded.select(1, i)).masked_fill(levels.select(1, i) == kUnknown, NAN));
  }
  return torch::stack(all, 1);
}

/// A score, and what decides between equal ones.
using Score = std::pair<double, std::uint64_t>;

std::uint64_t tie(std::int64_t seed, std::int64_t row, std::int64_t column, std::int64_t columns) {
  return SplitMix64(std::uint64_t(seed), std::uint64_t(row * columns + column))();
}

/// Scores of the validation rows of each column, ascending.
std::vector<std::vector<Score>> calibrate(const TableRun& run, std::int64_t seed) {
  const auto* dataset = run.run().dataset();
  const auto size = dataset ? dataset->size(Split::kValid) : 0;
  if (size == 0)
    throw SpecError("table score --cells: p-values are by validation rows, and the run has none");
  const auto at = torch::arange(size);
  const auto levels = dataset->rows(Split::kValid, at);
  auto recorded = dataset->log_recorded(Split::kValid, at);
  if (!recorded.defined()) recorded = torch::zeros_like(levels, torch::kDouble);
  const auto scores = surprises(run, levels, recorded).contiguous();
  const auto D = run.dimension();
  std::vector<std::vector<Score>> columns(static_cast<std::size_t>(D));
  for (std::int64_t n = 0; n < size * D; ++n)
    if (const auto s = scores.data_ptr<double>()[n]; !std::isnan(s))
      columns[std::size_t(n % D)].emplace_back(s, tie(seed, -1 - n / D, n % D, D));
  for (auto& column : columns)
    std::ranges::sort(column);
  return columns;
}

/// (1 + #{scores >= s}) / (n + 1).
double p_value(const std::vector<Score>& calibration, const Score& score) {
  const auto above = calibration.end() - std::ranges::lower_bound(calibration, score);
  return (1 + double(above)) / (double(calibration.size()) + 1);
}

/// The largest p-value of those that are marked, so that at most a share q of them is marked
/// wrongly (Benjamini and Hochberg 1995); 0: none is.
double threshold(std::vector<double> p, double q) {
  std::ranges::sort(p);
  double largest = 0;
  for (std::size_t n = 0; n < p.size(); ++n)
    if (p[n] <= q * double(n + 1) / double(p.size())) largest = p[n];
  return largest;
}

void write_rows(const TableRun& run, const Options& options, const FileRows& rows,
                std::ostream& out) {
  Stream stream(std::uint64_t(options.seed), "table/score");
  const auto log_p =
      (run.ask(QueryKind::kLogMarginal, rows.levels(), stream).value + rows.log_recorded().sum(1))
          .contiguous();
  auto columns = rows.columns();
  columns.emplace_back("_log_p");
  Writer writer(columns, options.json, options.out, out);
  rows.for_each([&](std::int64_t row, const FileRows::Fields& from) {
    auto fields = fields_of(from);
    fields.push_back(number_field(log_p.data_ptr<double>()[row]));
    writer.row(fields);
  });
  writer.finish();
}

void write_cells(const TableRun& run, const Options& options, const FileRows& rows,
                 std::ostream& out) {
  const auto calibration = calibrate(run, options.seed);
  const auto scores = surprises(run, rows.levels(), rows.log_recorded()).contiguous();
  const auto D = run.dimension();
  std::vector<double> p(static_cast<std::size_t>(rows.count() * D), NAN);
  for (std::int64_t n = 0; n < rows.count() * D; ++n)
    if (const auto s = scores.data_ptr<double>()[n]; !std::isnan(s))
      p[std::size_t(n)] =
          p_value(calibration[std::size_t(n % D)], {s, tie(options.seed, n / D, n % D, D)});
  const bool marks = options.false_discoveries > 0;
  std::vector<double> known;
  std::ranges::copy_if(p, std::back_inserter(known), [](double v) { return !std::isnan(v); });
  const auto last = marks ? threshold(std::move(known), options.false_discoveries) : 0;

  std::vector<std::string> columns{"row", "column", "value", "surprise", "p_value"};
  if (marks) columns.emplace_back("marked");
  Writer writer(columns, options.json, options.out, out);
  rows.for_each([&](std::int64_t row, const FileRows::Fields& from) {
    for (std::int64_t i = 0; i < D; ++i) {
      const auto n = std::size_t(row * D + i);
      if (std::isnan(p[n])) continue;
      std::vector<Field> fields{{std::to_string(row + 1), true},
                                {run.encoding(i).column().name},
                                {std::string(from[std::size_t(rows.places()[std::size_t(i)])])},
                                number_field(scores.data_ptr<double>()[n]),
                                number_field(p[n])};
      if (marks) fields.push_back({p[n] <= last ? "1" : "0", true});
      writer.row(fields);
    }
  });
  writer.finish();
}

}  // namespace

void score(const ToolContext& context, const Options& options, std::ostream& out) {
  const TableRun run(context, options.run);
  const FileRows rows(run, read_named(options.file), options.unseen_missing);
  if (options.cells)
    write_cells(run, options, rows, out);
  else
    write_rows(run, options, rows, out);
}

}  // namespace marginalia::tables
