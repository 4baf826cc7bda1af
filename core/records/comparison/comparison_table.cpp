/// \file
/// The table of a comparison. A cell is the mean over the runs of a row with its standard error;
/// over the values of the columns' key, the mean of their means. Two rows are compared within each
/// target by Student's t test of the paired differences over what they share (the seed, first of
/// all), corrected for the number of tests by Holm's rule. The best of a column is marked as such
/// only if it differs from every other row of its targets significantly, all pairs counted.
#include <algorithm>
#include <map>
#include <optional>
#include <span>

#include "comparison_cells.h"

namespace marginalia::comparison {
namespace {

/// One column of the table, worked out.
struct WorkedColumn {
  Column head;
  std::vector<Blocks> rows;
  std::vector<Cell> cells;  ///< likewise
  std::vector<Pair> pairs;

  /// A cost that no run has is not shown.
  bool is_empty() const {
    return head.is_cost && std::ranges::all_of(cells, [](const Cell& cell) {
             return std::ranges::all_of(cell.values, [](const Source& v) { return v.value == 0; });
           });
  }
};

std::string unit_in(const std::vector<Blocks>& rows) {
  for (const auto& blocks : rows)
    for (const auto& block : blocks)
      for (const auto& stratum : block.strata)
        if (!stratum.values.empty()) return stratum.values.front().unit;
  return "";
}

/// The column of a metric or a cost over all runs.
Column make_head(const std::string& key, const std::vector<Blocks>& rows, const Request& request) {
  const auto better = find_better(key, request.compare, request.facts);
  if (const auto* cost = cost_called(key))
    return {.key = key,
            .metric = key,
            .label = cost->label,
            .unit = cost->unit,
            .better = better,
            .is_cost = true};
  return {.key = key,
          .metric = key,
          .label = to_label(key, request.facts),
          .unit = unit_in(rows),
          .better = better,
          .names_estimator = request.facts.has_column(parse_metric(key), ColumnKind::kShared)};
}

Column at_value(Column column, const std::string& value) {
  column.key += " of " + value;
  column.label += ", " + value;
  column.at = value;
  return column;
}

void add_tests(WorkedColumn& column, const Request& request) {
  const auto& rows = column.rows;
  const bool like_with_like = column.head.names_estimator;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto& name = request.baselines[r];
    if (name.empty() || name == request.rows[r]) continue;
    const auto b = std::size_t(std::ranges::find(request.rows, name) - request.rows.begin());
    column.cells[r].difference = {name, test_difference(rows[r], rows[b], like_with_like)};
  }
  for (std::size_t a = 0; a < rows.size(); ++a)
    for (std::size_t b = a + 1; b < rows.size(); ++b)
      column.pairs.push_back(
          {a, b, column.head.key, test_difference(rows[a], rows[b], like_with_like)});
}

WorkedColumn make_column(Column head, std::vector<Blocks> rows, const Request& request) {
  WorkedColumn column{.head = std::move(head), .rows = std::move(rows), .cells = {}, .pairs = {}};
  for (const auto& blocks : column.rows)
    column.cells.push_back(make_cell(blocks));
  if (!column.head.is_cost) add_tests(column, request);
  return column;
}

/// Ranks of rows at one value of the columns' key: 1 for the best, the mean of their places for
/// those that are equal; only rows of the same targets have places among each other.
std::vector<std::optional<double>> ranks_at(const WorkedColumn& column, std::size_t block) {
  std::map<std::string, std::vector<double>> means;  // by signature
  for (const auto& blocks : column.rows)
    if (const auto mean = average(blocks[block]))
      means[signature(blocks[block])].push_back(mean->mean);
  std::vector<std::optional<double>> ranks;
  for (const auto& blocks : column.rows) {
    ranks.emplace_back();
    const auto mean = average(blocks[block]);
    if (!mean) continue;
    double before = 0, equal = 0;
    for (const auto other : means.at(signature(blocks[block]))) {
      before += column.head.better == "lower" ? other < mean->mean : other > mean->mean;
      equal += other == mean->mean;
    }
    ranks.back() = before + (equal + 1) / 2;
  }
  return ranks;
}

/// Mean ranks over the values of the columns' key, of rows that have all.
void add_mean_ranks(WorkedColumn& column) {
  const auto count = column.rows.empty() ? 0 : column.rows.front().size();
  if (count < 2 || column.head.better.empty()) return;
  for (auto& cell : column.cells)
    cell.mean_rank = 0;
  for (std::size_t block = 0; block < count; ++block) {
    const auto ranks = ranks_at(column, block);
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      auto& mean = column.cells[r].mean_rank;
      if (mean) mean = ranks[r] ? std::optional(*mean + *ranks[r] / double(count)) : std::nullopt;
    }
  }
}

/// The column of `key` over all runs and, of a metric, those at each value of the columns' key.
void add_columns(std::vector<WorkedColumn>& columns, const std::vector<Part>& parts,
                 const std::string& key, const Request& request) {
  std::vector<Blocks> rows;
  for (const auto& row : request.rows)
    rows.push_back(make_blocks(parts, row, key, request));
  const auto head = make_head(key, rows, request);
  auto overall = make_column(head, rows, request);
  add_mean_ranks(overall);
  columns.push_back(std::move(overall));
  if (head.is_cost || request.columns().empty()) return;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::vector<Blocks> here;
    for (const auto& blocks : rows)
      here.push_back({blocks[i]});
    columns.push_back(make_column(at_value(head, parts[i].value), std::move(here), request));
  }
}

std::vector<WorkedColumn> columns_asked_for(const std::vector<Experiment>& experiments,
                                            const Request& request) {
  std::vector<Keys> keys;
  for (const auto& e : experiments)
    keys.push_back(list_keys(e.measurements));
  auto parts = parted(experiments, request.columns());
  if (parts.empty()) parts.push_back(whole(experiments));
  std::vector<WorkedColumn> columns;
  for (const auto& asked : asked_for(experiments, request.compare))
    for (const auto& key : cost_called(asked) ? Keys{} : list_columns(keys, asked, request.facts))
      add_columns(columns, parts, key, request);
  for (const auto& cost : kCosts)  // always beside what was bought with them
    add_columns(columns, parts, cost.key, request);
  std::erase_if(columns, [](const WorkedColumn& column) { return column.is_empty(); });
  return columns;
}

/// Fills p_holm of tests that count together.
void correct(const std::vector<Test*>& tests) {
  std::vector<double> p;
  for (const auto* test : tests)
    if (test->paired.p) p.push_back(*test->paired.p);
  const auto adjusted = holm(p);
  auto next = adjusted.begin();
  for (auto* test : tests)
    if (test->paired.p) test->p_holm = *next++;
}

/// Corrects the differences of these columns, and their pairs, each for their number.
void correct(std::span<WorkedColumn> columns) {
  std::vector<Test*> differences, pairs;
  for (auto& column : columns) {
    for (auto& cell : column.cells)
      if (cell.difference) differences.push_back(&cell.difference->test);
    for (auto& pair : column.pairs)
      pairs.push_back(&pair.test);
  }
  correct(differences);
  correct(pairs);
}

/// After the corrections: which of some rows is best, and whether it is so beyond doubt.
void mark_best(WorkedColumn& column, const std::vector<std::size_t>& rows, double alpha) {
  auto& cells = column.cells;
  const auto is_better = [&](std::size_t a, std::size_t b) {
    const auto x = cells[a].summary->mean, y = cells[b].summary->mean;
    return column.head.better == "lower" ? x < y : x > y;
  };
  if (rows.size() < 2) return;
  auto best = rows.front();
  for (const auto r : rows)
    if (is_better(r, best)) best = r;
  bool significant = true;
  for (const auto& pair : column.pairs) {
    if (pair.a != best && pair.b != best) continue;
    if (!std::ranges::count(rows, pair.a == best ? pair.b : pair.a)) continue;
    significant = significant && pair.test.p_holm && *pair.test.p_holm < alpha;
  }
  cells[best].best = true;
  cells[best].significant = significant;
}

/// The best of each group of rows with the same targets.
void mark_best(WorkedColumn& column, double alpha) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t r = 0; r < column.cells.size(); ++r)
    if (column.cells[r].summary) groups[signature(column.rows[r])].push_back(r);
  for (const auto& [_, rows] : groups)
    mark_best(column, rows, alpha);
}

}  // namespace

Table make_table(const std::vector<Experiment>& experiments, const Request& request) {
  const auto& compare = request.compare;
  auto columns = columns_asked_for(experiments, request);
  if (compare.correct_within == "table") correct(columns);
  Table table;
  for (const auto& row : request.rows)
    table.rows.push_back({row, {}});
  for (auto& column : columns) {
    if (compare.correct_within != "table") correct({&column, 1});
    if (!column.head.better.empty()) mark_best(column, compare.alpha);
    table.columns.push_back(column.head);
    std::ranges::copy_if(column.pairs, std::back_inserter(table.pairs),
                         [](const Pair& pair) { return pair.test.paired.difference.n > 1; });
    for (std::size_t r = 0; r < request.rows.size(); ++r)
      table.rows[r].cells.push_back(column.cells[r]);
  }
  return table;
}

}  // namespace marginalia::comparison
