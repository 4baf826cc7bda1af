#pragma once

#include <optional>
#include <string>
#include <vector>

#include "comparison_parts.h"

/// What stands in a cell: the runs of a row, stratum by stratum. Targets and values of a grid are
/// chosen, not drawn: means are of the strata's means, and spreads within them.
namespace marginalia::comparison {

/// One number of one experiment.
struct Value {
  const Experiment* experiment;
  double value;
  std::optional<double> error;
  std::string estimator, status, unit;
};

/// Runs of a row that differ in nothing but the seed.
struct Stratum {
  std::string key, name;  ///< stratum_key, stratum_name
  std::vector<Value> values = {};
  std::string why = {};  ///< why there are fewer values than runs; ""
};

/// Those of a row at one value of the columns' key; of all its runs where there is no such key.
struct Block {
  std::string at;  ///< that value; ""
  std::vector<Stratum> strata = {};
};
/// Those of a cell: one, or, over all runs, one at each value of the columns' key.
using Blocks = std::vector<Block>;

/// What a row says in the column of a metric or a cost at each of the parts.
Blocks make_blocks(const std::vector<Part>& parts, const std::string& row, const std::string& key,
                   const Request& request);

/// The mean of the strata's means; none where one has no value.
std::optional<Summary> average(const Block& block);

/// Equal in cells of one target, or of the same targets, and the same values of the grid.
std::string signature(const Block& block);
std::string signature(const Blocks& blocks);

Cell make_cell(const Blocks& blocks);

/// The differences of what two rows share, tested; untested where like_with_like is asked for and
/// they were estimated in different ways.
Test test_difference(const Blocks& a, const Blocks& b, bool like_with_like);

/// The cost of a key; null where it is a metric's.
const Cost* cost_called(const std::string& key);

}  // namespace marginalia::comparison
