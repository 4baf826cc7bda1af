#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <marginalia/factors.h>

#include "elimination_order.h"

namespace marginalia {

/// A table that a step reads: a factor, or the message of an earlier step.
struct TableSource {
  bool is_factor;
  std::size_t index;
  std::vector<std::int64_t> strides;                              ///< by variable of the separator
  std::int64_t stride = 0;                                        ///< of the step's own variable
  std::vector<std::pair<std::int64_t, std::int64_t>> known = {};  ///< variable, its stride
};

/// Sums one variable out. Its message is a table over `separator`, the last variable fastest.
struct PlanStep {
  std::int64_t variable, levels;
  std::vector<std::int64_t> separator, sizes;
  std::int64_t entries;  ///< of the message
  std::vector<TableSource> sources;
  std::vector<std::size_t> children;  ///< those of the sources that are messages: steps before
  std::int64_t levels_at_once = 1;    ///< of its variable, as marginals come down to the children
};

struct EliminationPlan {
  EliminationCost cost;
  std::vector<PlanStep> steps;
  std::vector<TableSource> constants;  ///< factors without an unknown variable
  double beside = 0;                   ///< most entries of what marginals need beside the messages
};

/// How a table over `scope` lies over a step's separator and variable; others of its scope are
/// known. cardinalities: [D]
TableSource make_source(bool is_factor, std::size_t index, const std::vector<std::int64_t>& scope,
                        const std::vector<std::int64_t>& cardinalities,
                        const std::vector<std::int64_t>& separator, std::int64_t variable);

/// The values of each variable that every factor supports, given those of the others: [D][...]. All
/// empty where no state is possible.
std::vector<std::vector<std::int64_t>> supported_values(const FactorModel& model);
/// The same factors over the indices into `values`.
FactorModel restricted(const FactorModel& model,
                       const std::vector<std::vector<std::int64_t>>& values);

/// unknown: [D], the variables that are summed out; the others are known when the plan is used. No
/// steps where the cost is not complete.
EliminationPlan elimination_plan(const FactorModel& model, const std::vector<bool>& unknown);

}  // namespace marginalia
