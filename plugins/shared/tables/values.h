#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conditions.h"
#include "rows.h"

namespace marginalia::tables {

/// The values of one variable that conditions leave: levels, or stretches of the grid of numbers.
class ValueSet {
 public:
  explicit ValueSet(const Encoding& encoding);  ///< all values

  /// Leaves what `condition` holds of. Throws SpecError for values that the column has not, and for
  /// relations that mean nothing in it.
  void keep(const Condition& condition);

  bool all() const { return all_; }
  bool none() const;
  /// Of each level the probability, given the level, of what is left of it: [levels].
  std::vector<double> shares() const;
  bool has(std::int64_t level, double value) const;  ///< value: of a column with a density
  /// A value of `level` that is left, as the file writes it; u of [0, 1) says which.
  std::string text(std::int64_t level, double u) const;

 private:
  struct Stretch {
    std::int64_t from, until;
  };
  void keep_levels(const std::vector<bool>& levels);
  void keep_stretches(const std::vector<Stretch>& stretches);
  void keep_numbers(const Condition& condition);
  void keep_labels(const Condition& condition);
  double number_of(const Condition& condition, const std::string& value) const;
  [[noreturn]] void fail(const std::string& what) const;

  const Encoding* encoding_;
  bool all_ = true;
  std::vector<bool> levels_;        // of labels; of a density the level of a gap alone counts
  std::vector<Stretch> stretches_;  // of a density: ascending, apart
};

/// What conditions leave of each variable of a table, which outlives it. Throws SpecError for a
/// column that is none of its variables, and where a column has nothing left.
std::vector<ValueSet> values_of(const Table& table, const std::vector<Condition>& conditions);

}  // namespace marginalia::tables
