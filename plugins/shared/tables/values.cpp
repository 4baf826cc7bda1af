#include "values.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::tables {

ValueSet::ValueSet(const Encoding& encoding)
    : encoding_(&encoding), levels_(std::size_t(encoding.levels()), true) {
  if (encoding.column().has_density()) stretches_ = {{-Encoding::kFarthest, Encoding::kFarthest}};
}

void ValueSet::fail(const std::string& what) const {
  throw SpecError(fmt::format("column \"{}\": {}", encoding_->column().name, what));
}

void ValueSet::keep(const Condition& condition) {
  all_ = false;
  const auto gap = encoding_->level_of_gap();
  const bool missing = condition.relation == Relation::kMissing;
  if (missing || condition.relation == Relation::kNotMissing) {
    if (gap < 0)
      fail(
          "its gaps are unknown values, which no condition can ask for; with \"gaps_as_values\" of "
          "the dataset they are a value of their own");
    std::vector<bool> levels(levels_.size(), !missing);
    levels[std::size_t(gap)] = missing;
    keep_levels(levels);
    if (missing) stretches_.clear();
    return;
  }
  if (encoding_->column().has_density())
    keep_numbers(condition);
  else
    keep_labels(condition);
  if (gap >= 0) levels_[std::size_t(gap)] = false;  // a comparison is of what is known
}

void ValueSet::keep_levels(const std::vector<bool>& levels) {
  for (std::size_t k = 0; k < levels.size(); ++k)
    levels_[k] = levels_[k] && levels[k];
}

void ValueSet::keep_stretches(const std::vector<Stretch>& stretches) {
  std::vector<Stretch> both;
  for (const auto& a : stretches_)
    for (const auto& b : stretches)
      if (const Stretch common{std::max(a.from, b.from), std::min(a.until, b.until)};
          common.from <= common.until)
        both.push_back(common);
  std::ranges::sort(both, {}, &Stretch::from);
  stretches_ = std::move(both);
}

double ValueSet::number_of(const Condition& condition, const std::string& value) const {
  const auto& column = encoding_->column();
  if (column.kind == Kind::kDate) {
    if (const auto seconds = parse_date(value, column.date)) return *seconds;
    fail(fmt::format("\"{}\" is no date of the form {}", value, column.date.text()));
  }
  if (const auto number = parse(value, column.comma)) return number->value;
  fail(fmt::format("\"{}\", at character {} of the conditions, is no number", value,
                   condition.place + 1));
}

void ValueSet::keep_numbers(const Condition& condition) {
  constexpr auto kFarthest = Encoding::kFarthest;
  constexpr double kRounding = 1e-9;
  const auto resolution = encoding_->column().resolution();
  std::vector<Stretch> points;
  for (const auto& value : condition.values) {
    const auto place = number_of(condition, value) / resolution;
    const auto near = std::round(place);
    const bool on_grid = std::abs(place - near) <= kRounding * std::max(1.0, std::abs(near));
    const auto below = encoding_->index_of((on_grid ? near : std::floor(place)) * resolution);
    const auto above = on_grid ? below : below + 1;
    switch (condition.relation) {
      case Relation::kLess:
        return keep_stretches({{-kFarthest, on_grid ? below - 1 : below}});
      case Relation::kLessOrEqual:
        return keep_stretches({{-kFarthest, below}});
      case Relation::kMore:
        return keep_stretches({{on_grid ? above + 1 : above, kFarthest}});
      case Relation::kMoreOrEqual:
        return keep_stretches({{above, kFarthest}});
      default:
        if (!on_grid)
          fail(fmt::format("no value is {}: they are whole multiples of {}", value, resolution));
        points.push_back({below, below});
    }
  }
  if (condition.relation == Relation::kIn) return keep_stretches(points);
  for (const auto& point : points)
    keep_stretches({{-kFarthest, point.from - 1}, {point.from + 1, kFarthest}});
}

void ValueSet::keep_labels(const Condition& condition) {
  const auto& column = encoding_->column();
  std::vector<bool> levels(levels_.size(), false);
  if (condition.relation == Relation::kIn || condition.relation == Relation::kNotIn) {
    for (const auto& value : condition.values) {
      const auto level = encoding_->level_of(std::string_view(value));
      if (level < 0)
        throw SpecError(
            unknown_name(fmt::format("label of column \"{}\"", column.name), value, column.labels));
      levels[std::size_t(level)] = true;
    }
    if (condition.relation == Relation::kNotIn) levels.flip();
    return keep_levels(levels);
  }
  if (column.kind != Kind::kInteger)
    fail(fmt::format("its labels have no order, as < and > need; name them: {} in (...)",
                     column.name));
  const auto bound = number_of(condition, condition.values[0]);
  for (std::size_t k = 0; k < column.labels.size(); ++k) {
    const auto value = parse(column.labels[k])->value;
    levels[k] = condition.relation == Relation::kLess          ? value < bound
                : condition.relation == Relation::kLessOrEqual ? value <= bound
                : condition.relation == Relation::kMore        ? value > bound
                                                               : value >= bound;
  }
  keep_levels(levels);
}

std::vector<double> ValueSet::shares() const {
  std::vector<double> shares(levels_.begin(), levels_.end());
  const auto& pieces = encoding_->pieces();
  if (all_) return shares;
  for (std::size_t k = 0; k < pieces.size(); ++k) {
    double share = 0;
    for (const auto& [from, until] : stretches_)
      share += pieces[k].share(from, until);
    shares[k] = std::min(share, 1.0);
  }
  return shares;
}

bool ValueSet::none() const {
  return std::ranges::all_of(shares(), [](double share) { return share <= 0; });
}

bool ValueSet::has(std::int64_t level, double value) const {
  if (!encoding_->column().has_density() || level == encoding_->level_of_gap())
    return levels_[std::size_t(level)];
  const auto index = encoding_->index_of(value);
  return std::ranges::any_of(stretches_,
                             [&](const Stretch& s) { return s.from <= index && index <= s.until; });
}

std::string ValueSet::text(std::int64_t level, double u) const {
  if (stretches_.empty() || level == encoding_->level_of_gap()) return encoding_->text(level, u);
  const auto& piece = encoding_->pieces()[std::size_t(level)];
  const auto* chosen = &stretches_.front();
  double left = u * shares()[std::size_t(level)], of_chosen = 1;
  for (const auto& stretch : stretches_) {
    const auto share = piece.share(stretch.from, stretch.until);
    if (share <= 0) continue;
    chosen = &stretch;
    of_chosen = share;
    if (left < share) break;
    left -= share;
  }
  return encoding_->text(level, std::clamp(left / of_chosen, 0.0, std::nextafter(1.0, 0.0)),
                         chosen->from, chosen->until);
}

std::vector<ValueSet> values_of(const Table& table, const std::vector<Condition>& conditions) {
  std::vector<ValueSet> values;
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < table.variables.count(); ++i) {
    values.emplace_back(table.variables[i]);
    names.push_back(table.variables[i].column().name);
  }
  for (const auto& condition : conditions) {
    const auto at = std::ranges::find(names, condition.column);
    if (at == names.end()) {
      const auto& columns = table.schema.columns;
      const auto column = std::ranges::find(columns, condition.column, &Column::name);
      if (column != columns.end())
        throw SpecError(
            fmt::format("column \"{}\" is no variable of the model: {}", condition.column,
                        column->kind == Kind::kWeight ? "it says how much each row counts"
                        : column->why.empty()         ? "it is ignored"
                                                      : column->why));
      throw SpecError(unknown_name("column", condition.column, names));
    }
    auto& of_column = values[std::size_t(at - names.begin())];
    of_column.keep(condition);
    if (of_column.none())
      throw SpecError(fmt::format("conditions leave no value of column \"{}\"", condition.column));
  }
  return values;
}

}  // namespace marginalia::tables
