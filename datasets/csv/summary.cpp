#include "summary.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace marginalia::csv {

using namespace marginalia::tables;

namespace {

std::string share_of(std::int64_t count, std::int64_t all) {
  return count == 0 ? "-" : fmt::format("{:.1f} %", 100 * double(count) / double(all));
}

/// What is worth a look in a column: its range, its most frequent labels, or why it is ignored.
std::string note_on(const Encoding* encoding, const Column& column) {
  if (column.kind == Kind::kWeight) return "how much each row counts";
  if (!column.is_variable()) return column.why;
  if (column.has_density())
    return fmt::format("{} to {}, {} bins", encoding->text_of(encoding->index_of(column.low)),
                       encoding->text_of(encoding->index_of(column.high)),
                       encoding->pieces().size());
  constexpr std::size_t kShown = 4;
  std::vector<std::size_t> order(column.labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (column.kind != Kind::kInteger && column.counts.size() == order.size())
    std::ranges::stable_sort(order, std::greater<>(), [&](auto k) { return column.counts[k]; });
  std::vector<std::string> shown;
  for (const auto k : order)
    if (shown.size() < kShown) shown.push_back(column.labels[k]);
  return fmt::format("{}{}", fmt::join(shown, ", "), order.size() > kShown ? ", ..." : "");
}

}  // namespace

std::string summary_of(const Table& table, const std::array<std::int64_t, 3>& rows,
                       const std::vector<GapTest>& gaps) {
  const auto& schema = table.schema;
  auto text =
      fmt::format("{}: {} rows, {} columns, {} variables; {} to learn from, {} to validate, "
                  "{} to test\n\n",
                  std::filesystem::path(schema.file).filename().string(), schema.rows,
                  schema.columns.size(), table.variables.count(), rows[0], rows[1], rows[2]);
  std::size_t width = 6;
  for (const auto& column : schema.columns)
    width = std::max(width, column.name.size());
  text += fmt::format("{:<{}}  {:<8} {:>9} {:>8} {:>8}  \n", "column", width, "kind", "known",
                      "gaps", "distinct");
  std::int64_t variable = 0;
  for (const auto& column : schema.columns) {
    const auto* encoding = column.is_variable() ? &table.variables[variable++] : nullptr;
    text += fmt::format(
        "{:<{}}  {:<8} {:>9} {:>8} {:>8}  {}{}\n", column.name, width, to_string(column.kind),
        column.present, share_of(column.missing, schema.rows),
        column.distinct > std::int64_t(ScannedColumn::kMostNumbers)
            ? fmt::format(">{}", ScannedColumn::kMostNumbers)
            : fmt::format("{}", column.distinct),
        note_on(encoding, column), column.missing_is_category ? "; gaps are a value" : "");
  }
  return text + to_text(gaps);
}

}  // namespace marginalia::csv
