#include "comparison_layout.h"

#include <algorithm>

#include <fmt/format.h>

#include "comparison_parts.h"

namespace marginalia::comparison {
namespace {

/// Reasons that cells name by a letter.
class Remarks {
 public:
  /// " (a)"; "" of no reason.
  std::string mark(const std::string& reason) {
    if (reason.empty()) return "";
    const auto known = std::ranges::find(reasons_, reason);
    const auto place = std::size_t(known - reasons_.begin());
    if (known == reasons_.end()) reasons_.push_back(reason);
    return fmt::format(" ({})", letter(place));
  }
  Words lines() const {
    Words all;
    for (std::size_t i = 0; i < reasons_.size(); ++i)
      all.push_back(fmt::format("({}) {}", letter(i), reasons_[i]));
    return all;
  }

 private:
  static std::string letter(std::size_t place) {
    const std::string last(1, char('a' + place % 26));
    return place < 26 ? last : letter(place / 26 - 1) + last;
  }
  Words reasons_;
};

/// What is printed in one column of a grid.
struct Printed {
  std::string head;
  Words cells;
  Words reasons;  ///< a reason each, or ""
};

/// Adds a column; a reason that all its cells share stands at its head.
void add(Grid& grid, Remarks& remarks, Printed column) {
  auto& reasons = column.reasons;
  const bool shared = reasons.size() > 1 && std::ranges::all_of(reasons, [&](const auto& reason) {
                        return reason == reasons.front();
                      });
  if (shared) {
    column.head += remarks.mark(reasons.front());
    reasons.assign(reasons.size(), "");
  }
  grid.heads.push_back(column.head);
  for (std::size_t r = 0; r < column.cells.size(); ++r)
    grid.rows[r].push_back(column.cells[r] + remarks.mark(reasons[r]));
}

std::string arrow(const Column& column) {
  return column.better.empty() ? "" : column.better == "lower" ? " \u2193" : " \u2191";
}

std::string make_head(const Column& column) {
  return column.label + (column.unit.empty() ? "" : ", " + column.unit) + arrow(column);
}

/// The number, and what it was estimated by where that is not the column's name.
std::string words_in(const Cell& cell, const Column& column, const Marks& best) {
  auto text = to_text(cell);
  if (cell.significant) text = best.before + text + best.after;
  const bool named = column.names_estimator && cell.estimator != parse_estimator(column.metric);
  return named && cell.summary ? text + " " + to_words(cell.estimator) : text;
}

/// A grid of every row, with no columns yet.
Grid of_rows(const Table& table, const std::string& title, const std::string& head) {
  Grid grid{.title = title, .heads = {head}, .rows = {}};
  for (const auto& row : table.rows)
    grid.rows.push_back({row.name});
  return grid;
}

Printed printed(const Table& table, std::size_t c, const std::string& head, const Marks& best) {
  Printed column{head, {}, {}};
  for (const auto& row : table.rows) {
    column.cells.push_back(words_in(row.cells[c], table.columns[c], best));
    column.reasons.push_back(row.cells[c].why);
  }
  return column;
}

/// Mean ranks beside the mean of a column; nothing where there are none.
void add_ranks(Grid& grid, Remarks& remarks, const Table& table, std::size_t c) {
  Printed column{"mean rank", {}, {}};
  bool any = false;
  for (const auto& row : table.rows) {
    const auto rank = row.cells[c].mean_rank;
    any = any || rank;
    column.cells.push_back(rank ? fmt::format("{:.3g}", *rank) : "\u2013");
    column.reasons.emplace_back();
  }
  if (any) add(grid, remarks, std::move(column));
}

/// Whether there is a difference, or something to say of why there is none.
bool is_told(const Test& difference) {
  return difference.paired.difference.n > 0 || difference.paired.untested != kNoPairs;
}

/// Why a difference is missing, or was not tested though there are pairs enough.
std::string find_reason(const Test& difference) {
  const auto& [summary, t, p, untested] = difference.paired;
  return summary.n == 0 || untested.starts_with("not tested") ? untested : "";
}

/// The differences in some columns; no rows where nothing is compared.
Grid difference_grid(const Comparison& comparison, const std::vector<std::size_t>& columns,
                     const std::string& title, const Words& heads) {
  Grid grid{.title = title, .heads = {"less " + comparison.baseline}, .rows = {}};
  std::vector<const Row*> rows;
  bool any = false;
  for (const auto& row : comparison.table.rows) {
    bool asked = false;
    for (const auto c : columns)
      if (const auto& difference = row.cells[c].difference) {
        asked = true;
        any = any || is_told(difference->test);
      }
    if (asked) rows.push_back(&row);
  }
  if (!any) return grid;
  for (const auto* row : rows)
    grid.rows.push_back({row->name});
  Remarks remarks;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    Printed column{heads[i], {}, {}};
    for (const auto* row : rows) {
      const auto& difference = row->cells[columns[i]].difference;
      column.cells.push_back(difference ? to_text(difference->test) : "\u2013");
      column.reasons.push_back(difference ? find_reason(difference->test) : "");
    }
    add(grid, remarks, std::move(column));
  }
  grid.remarks = remarks.lines();
  return grid;
}

/// A table of a metric, and one of its differences: the mean over all columns, then each.
void add_metric(std::vector<Grid>& all, const Comparison& comparison,
                const std::vector<std::size_t>& columns, const Marks& best) {
  const auto& table = comparison.table;
  const auto& overall = table.columns[columns.front()];
  const auto key = to_words(comparison.columns.substr(comparison.columns.rfind('.') + 1));
  const auto title = fmt::format("{}, by {}", make_head(overall), key);
  auto grid = of_rows(table, title, "row");
  Remarks remarks;
  Words heads{"mean"};
  add(grid, remarks, printed(table, columns.front(), "mean", best));
  add_ranks(grid, remarks, table, columns.front());
  for (std::size_t i = 1; i < columns.size(); ++i) {
    heads.push_back(table.columns[columns[i]].at);
    add(grid, remarks, printed(table, columns[i], heads.back(), best));
  }
  grid.remarks = remarks.lines();
  all.push_back(std::move(grid));
  all.push_back(difference_grid(comparison, columns, title, heads));
}

/// All that `chosen` lets pass, in one table.
Grid one_table(const Comparison& comparison, const Marks& best, const std::string& title,
               bool (*chosen)(const Column&)) {
  const auto& table = comparison.table;
  auto grid = of_rows(table, title, "row");
  Remarks remarks;
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (chosen(table.columns[c]))
      add(grid, remarks, printed(table, c, make_head(table.columns[c]), best));
  grid.remarks = remarks.lines();
  return grid;
}

/// The columns of quality: those of a metric together.
std::vector<std::vector<std::size_t>> metrics_in(const Table& table) {
  std::vector<std::vector<std::size_t>> all;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (table.columns[c].is_cost) continue;
    if (table.columns[c].at.empty()) all.emplace_back();
    all.back().push_back(c);
  }
  return all;
}

/// One table of all metrics and costs, and one of the differences.
void add_all(std::vector<Grid>& all, const Comparison& comparison, const Marks& best) {
  const auto& columns = comparison.table.columns;
  all.push_back(one_table(comparison, best, "", [](const Column&) { return true; }));
  std::vector<std::size_t> quality;
  Words heads;
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (!columns[c].is_cost) {
      quality.push_back(c);
      heads.push_back(make_head(columns[c]));
    }
  all.push_back(difference_grid(comparison, quality, "", heads));
}

Words law_words(const ScalingLaw& law) {
  if (!law.fit)
    return {law.axis, fmt::format("{}", law.points), "not fitted: " + law.why, "", "", ""};
  auto exponents = number_text(law.fit->exponent, law.alpha_error);
  if (law.with_data) exponents += ", " + number_text(law.fit->data_exponent, law.beta_error);
  const auto error = [&](double rms) {
    return law.held_out.why.empty() ? fmt::format("{:.2g} %", 100 * rms) : law.held_out.why;
  };
  return {law.axis,
          fmt::format("{}", law.points),
          exponents,
          number_text(law.fit->floor),
          error(law.held_out.error_rms),
          error(law.held_out.constant_error_rms)};
}

}  // namespace

std::vector<Grid> grids(const Comparison& comparison, const Marks& best) {
  std::vector<Grid> all;
  if (comparison.columns.empty()) {
    add_all(all, comparison, best);
  } else {
    for (const auto& columns : metrics_in(comparison.table))
      add_metric(all, comparison, columns, best);
    all.push_back(
        one_table(comparison, best, "costs", [](const Column& column) { return column.is_cost; }));
  }
  std::erase_if(all, [](const Grid& grid) { return grid.rows.empty() || grid.heads.size() < 2; });
  return all;
}

std::string explanation(const Comparison& comparison, const std::string& best) {
  const auto means =
      comparison.columns.empty()
          ? std::string()
          : fmt::format(" Over the values of {}: the mean of their means, each of equal weight, "
                        "with the error of its seeds; mean rank: 1 is the best of all.",
                        comparison.columns);
  return fmt::format("Mean and standard error over the runs of a row; of one run, its own.{} "
                     "Differences are paired, within one target (energy and dataset); p: {}; {}. "
                     "{}: the best, where it differs from every other row at {} (all pairs of rows "
                     "counted).",
                     means, comparison.test, comparison.correction, best, comparison.alpha);
}

Grid scaling_grid(const Scaling& scaling) {
  Grid grid{.title = fmt::format("Power laws of {}: L = E + A x^-exponent", scaling.metric),
            .heads = {"against", "points", "exponent", "E", "error of what was held out",
                      "of a constant"},
            .rows = {}};
  const bool several = !scaling.laws.empty() && !scaling.laws.front().target.empty();
  for (const auto& law : scaling.laws) {
    grid.rows.push_back(law_words(law));
    if (several) grid.rows.back().front() = law.target + ", " + law.axis;
  }
  return grid;
}

}  // namespace marginalia::comparison
