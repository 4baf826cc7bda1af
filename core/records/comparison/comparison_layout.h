#pragma once

#include <string>
#include <vector>

#include "comparison.h"

/// Which tables a comparison is printed as, whatever it is printed in.
namespace marginalia::comparison {

using Words = std::vector<std::string>;

/// A table as it is printed.
struct Grid {
  std::string title;  ///< "" where the heads say all
  Words heads;
  std::vector<Words> rows;
  Words remarks = {};  ///< what the letters in cells and heads stand for: "(a) lacks 4: not run"
};

/// What stands before and after a cell that is the best, and significantly so.
struct Marks {
  const char *before, *after;
};

/// With columns of a key a table a metric, its mean and mean rank first, and its differences; then
/// the costs. Else one of all metrics and costs, and one of the differences.
std::vector<Grid> grids(const Comparison& comparison, const Marks& best);

/// What a reader must know of all tables; best: "Bold", say.
std::string explanation(const Comparison& comparison, const std::string& best);

/// Power laws; no rows where the study asks for none.
Grid scaling_grid(const Scaling& scaling);

}  // namespace marginalia::comparison
