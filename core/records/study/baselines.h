#pragma once

#include <map>
#include <string>

#include "study.h"

namespace marginalia {

/// The row that a row is compared with.
struct Baseline {
  std::string row;        ///< "" where no row of the baseline shares a target with it
  std::string ambiguous;  ///< where several could be meant: they, in words; else ""
};

/// The baseline of each row, by its name. compare.baseline is the full name of a row, the baseline
/// of those that share a target with it; or a variant, whose row at the same target and the same
/// other settings it is; or empty: the first row that shares a target.
std::map<std::string, Baseline> baselines(const Study& study);

/// What differences are taken from, in words: one row, or "the first row of each target".
std::string baseline_in_words(const Study& study);

}  // namespace marginalia
