#include "splits.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>
#include <marginalia/random.h>

#include "shared/tables/rows.h"

namespace marginalia::csv {

using namespace marginalia::tables;

namespace {

enum { kTrain, kValid, kTest };

/// 0..count-1 in a random order, the same on every machine.
std::vector<std::int64_t> shuffled(std::int64_t count, std::int64_t seed) {
  std::vector<std::pair<std::uint64_t, std::int64_t>> keyed;
  for (std::int64_t n = 0; n < count; ++n)
    keyed.emplace_back(SplitMix64(std::uint64_t(seed), std::uint64_t(n))(), n);
  std::ranges::sort(keyed);
  std::vector<std::int64_t> order;
  for (const auto& [_, n] : keyed)
    order.push_back(n);
  return order;
}

/// Rows whose order decides: the first share tests, the next validates.
SplitRows split_in_order(const std::vector<std::int64_t>& order, double test, double valid) {
  SplitRows rows;
  const auto count = double(order.size());
  for (std::size_t n = 0; n < order.size(); ++n) {
    const auto place = (double(n) + 0.5) / count;
    rows[place < test ? kTest : place < test + valid ? kValid : kTrain].push_back(order[n]);
  }
  return rows;
}

/// The group of each row; one of its own for each gap.
std::vector<std::int64_t> groups_of(const Scan& scan, const std::string& name) {
  std::vector<std::int64_t> groups(static_cast<std::size_t>(scan.rows));
  std::iota(groups.begin(), groups.end(), std::int64_t{0});
  if (name.empty()) return groups;
  const auto& column = column_named(scan, name);
  if (column.many)
    throw SpecError(fmt::format("column \"{}\" has too many values to group by", name));
  const auto labels = std::ssize(column.labels);
  for (std::size_t row = 0; row < groups.size(); ++row)
    groups[row] = column.codes[row] < 0 ? labels + std::int64_t(row) : column.codes[row];
  return groups;
}

SplitRows split(const ByShares& by, const Scan& scan, bool tests) {
  const auto groups = groups_of(scan, by.group);
  const auto count = *std::ranges::max_element(groups) + 1;
  std::vector<std::vector<std::int64_t>> members(static_cast<std::size_t>(count));
  for (std::size_t row = 0; row < groups.size(); ++row)
    members[std::size_t(groups[row])].push_back(std::int64_t(row));
  std::vector<std::int64_t> order;
  for (const auto group : shuffled(count, by.seed))
    for (const auto row : members[std::size_t(group)])
      order.push_back(row);
  auto rows = split_in_order(order, tests ? by.test : 0, by.valid);
  if (by.group.empty()) return rows;
  // A group that a border cuts goes whole to where its first row is.
  std::vector<int> side(std::size_t(count), -1);
  SplitRows whole;
  for (const auto to : {kTest, kValid, kTrain})
    for (const auto row : rows[std::size_t(to)]) {
      auto& of_group = side[std::size_t(groups[std::size_t(row)])];
      if (of_group < 0) of_group = to;
      whole[std::size_t(of_group)].push_back(row);
    }
  return whole;
}

SplitRows split(const ByFolds& by, const Scan& scan, bool tests) {
  if (by.fold >= by.folds)
    throw SpecError(fmt::format("\"fold\" is {}, of {} from 0 on", by.fold, by.folds));
  SplitRows rows;
  const auto order = shuffled(scan.rows, by.seed);
  for (std::size_t n = 0; n < order.size(); ++n) {
    const auto fold = std::int64_t(n) % by.folds;
    const bool is_test = tests && fold == by.fold;
    const bool is_valid = fold == (by.fold + 1) % by.folds;
    rows[is_test ? kTest : is_valid ? kValid : kTrain].push_back(order[n]);
  }
  return rows;
}

SplitRows split(const ByColumn& by, const Scan& scan, bool) {
  const auto& column = column_named(scan, by.column);
  for (const auto& text : {by.valid, by.test})
    if (!std::ranges::count(column.labels, text))
      throw SpecError(fmt::format("no row of column \"{}\" is \"{}\"", by.column, text));
  SplitRows rows;
  for (std::size_t row = 0; row < column.codes.size(); ++row) {
    const auto code = column.codes[row];
    const auto& text = code < 0 ? std::string() : column.labels[std::size_t(code)];
    rows[text == by.test ? kTest : text == by.valid ? kValid : kTrain].push_back(std::int64_t(row));
  }
  return rows;
}

SplitRows split(const ByTime& by, const Scan& scan, bool tests) {
  const auto& from = column_named(scan, by.column);
  Column column{.name = by.column, .kind = from.numeric() ? Kind::kNumber : Kind::kDate};
  if (!from.numeric()) {
    if (from.dates.empty())
      throw SpecError(fmt::format("column \"{}\" has neither numbers nor dates", by.column));
    column.date = from.dates.front();
  }
  const auto values = numbers_of(from, column, scan.file);
  if (std::ranges::any_of(values, [](double value) { return std::isnan(value); }))
    throw SpecError(fmt::format("column \"{}\" has gaps", by.column));
  std::vector<std::int64_t> order(values.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](std::int64_t row) { return values[std::size_t(row)]; });
  return split_in_order(order, tests ? by.test : 0, by.valid);
}

}  // namespace

SplitRows split_rows(const SplitBy& by, const Scan& scan, bool tests) {
  SplitRows rows;
  try {
    rows = std::visit([&](const auto& one) { return split(one, scan, tests); }, by);
  } catch (const SpecError& e) {
    throw SpecError(fmt::format("\"split\": {}", e.what()));
  }
  for (auto& of_split : rows)
    std::ranges::sort(of_split);
  if (rows[kTrain].empty())
    throw SpecError(fmt::format("\"split\": leaves no rows of {} to learn from", scan.rows));
  return rows;
}

}  // namespace marginalia::csv
