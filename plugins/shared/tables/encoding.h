#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema.h"

namespace marginalia::tables {

/// A stretch of the grid of values that a column's numbers lie on: value = index times resolution.
/// Within one the values are uniform, and in the outer ones they fall geometrically, n steps from
/// the inner edge outwards, so that every value of the grid has a probability, and all of them
/// together 1: with N rows, which lie within n < S, and e = 1 / (N + 1) for what lies beyond them,
///   P(n) = (1 - e) (1 - r) r^n / (1 - r^S),  n < S;      e (1 - r) r^(n - S),  n >= S,
/// and e = 1 where S = 0.
struct Piece {
  enum class Shape { kAtom, kUniform, kBelow, kAbove };
  Shape shape = Shape::kAtom;
  std::int64_t first = 0, last = 0;  ///< indices; of kBelow and kAbove the inner edge is both
  double ratio = 0;                  ///< r, of kBelow, kAbove: p(next further out) / p
  std::int64_t rows = 0;             ///< N, training rows in it
  std::int64_t seen = 0;             ///< S, of kBelow, kAbove: values within the rows' range

  bool has(std::int64_t index) const;
  double log_probability(std::int64_t index) const;  ///< of an index that it has
  /// The probability of the indices from..until that it has, both included.
  double share(std::int64_t from, std::int64_t until) const;
  /// The index below which the share u of [0, 1) lies, of those from..until.
  std::int64_t at(double u, std::int64_t from, std::int64_t until) const;

 private:
  double beyond() const;  // e
  /// P(begin <= n < end): of what was seen, and of what lies beyond.
  std::pair<double, double> masses(std::int64_t begin, std::int64_t end) const;
  std::int64_t steps_at(double u, std::int64_t begin, std::int64_t end) const;
};

/// Cuts a grid into pieces by training values: a value of more than 1/bins of them is an atom, and
/// what lies between atoms has bins by its quantiles. `indices` need no order.
std::vector<Piece> cut(std::vector<std::int64_t> indices, std::int64_t bins);

/// The levels of one variable: what its fields are as numbers 0..K-1, and back.
class Encoding {
 public:
  /// numbers: of the training rows, of a column with a density; NaN: missing.
  Encoding(const Column& column, const std::vector<double>& numbers, std::int64_t bins);
  /// As it was: low and high are indices of the training rows' range.
  Encoding(const Column& column, std::vector<Piece> pieces, std::int64_t low, std::int64_t high);

  const Column& column() const { return column_; }
  std::int64_t levels() const;
  const std::vector<Piece>& pieces() const { return pieces_; }
  std::int64_t low() const { return low_; }
  std::int64_t high() const { return high_; }

  /// The level of a number, of a column with a density.
  std::int64_t level_of(double value) const;
  /// The level of a label; -1: there is none of that text.
  std::int64_t level_of(std::string_view label) const;
  std::int64_t level_of_gap() const;  ///< kUnknown, or the level that gaps are
  /// log p(value | its level): 0 of labels and atoms.
  double log_recorded(double value) const;

  std::int64_t index_of(double value) const;
  double value_of(std::int64_t index) const { return double(index) * column_.resolution(); }
  /// A value of `level` as the file writes it; u of [0, 1) says which of those with an index of
  /// from..until, where some are. kGap of a gap.
  std::string text(std::int64_t level, double u, std::int64_t from = -kFarthest,
                   std::int64_t until = kFarthest) const;
  /// The value below which the share q lies, of a column with a density whose level k has the
  /// probability p[k]; within the training rows' range.
  std::string quantile(const double* p, double q) const;
  /// Every value of a level: a label, "20", "20..29", "<=19" or ">=90".
  std::string range(std::int64_t level) const;
  /// The value of an index as the file writes it.
  std::string text_of(std::int64_t index) const;

  static constexpr std::int64_t kFarthest = 1'000'000'000'000'000'000;  ///< the largest index

 private:
  Column column_;
  std::vector<Piece> pieces_;        // by place; of a column with a density
  std::int64_t low_ = 0, high_ = 0;  // indices of the training rows' range, which draws stay in
};

}  // namespace marginalia::tables
