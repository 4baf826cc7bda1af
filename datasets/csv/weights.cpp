#include "weights.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "shared/tables/rows.h"

namespace marginalia::csv {

using namespace marginalia::tables;

std::vector<double> weights_of(const Scan& scan, const Schema& schema) {
  const auto at = std::ranges::find(schema.columns, Kind::kWeight, &Column::kind);
  if (at == schema.columns.end()) return {};
  if (const auto next = std::find_if(at + 1, schema.columns.end(),
                                     [](const Column& c) { return c.kind == Kind::kWeight; });
      next != schema.columns.end())
    throw SpecError(fmt::format("{}: columns \"{}\" and \"{}\" are both weights; one can be",
                                scan.file, at->name, next->name));
  const auto weights = numbers_of(column_named(scan, at->name), *at, scan.file);
  const auto wrong = std::ranges::find_if(weights, [](double weight) { return !(weight >= 0); });
  if (wrong != weights.end())
    throw SpecError(fmt::format(
        "{}: column \"{}\" is {} in row {}: a weight must be a number of 0 or more", scan.file,
        at->name, *wrong < 0 ? "negative" : "missing", wrong - weights.begin() + 1));
  return weights;
}

std::vector<double> weights_of_rows(const std::vector<double>& weights,
                                    const std::vector<std::int64_t>& rows) {
  if (weights.empty()) return {};
  std::vector<double> chosen;
  for (const auto row : rows)
    chosen.push_back(weights[std::size_t(row)]);
  if (!rows.empty() && std::ranges::all_of(chosen, [](double weight) { return weight == 0; }))
    throw SpecError(
        fmt::format("\"weight\": all {} rows of a split have the weight 0", rows.size()));
  return chosen;
}

std::vector<std::int64_t> drawn_by_weight(const std::vector<std::int64_t>& rows,
                                          const std::vector<double>& weights) {
  const auto chosen = weights_of_rows(weights, rows);
  if (chosen.empty()) return rows;
  const auto all = std::accumulate(chosen.begin(), chosen.end(), 0.0);
  std::vector<std::int64_t> drawn;
  double below = 0;  // of the rows before, in draws
  for (std::size_t n = 0; n < rows.size(); ++n) {
    below += chosen[n] / all * double(rows.size());
    while (double(drawn.size()) + 0.5 < below && drawn.size() < rows.size())
      drawn.push_back(rows[n]);
  }
  while (drawn.size() < rows.size())  // what rounding has left
    drawn.push_back(drawn.back());
  return drawn;
}

}  // namespace marginalia::csv
