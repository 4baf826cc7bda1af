#pragma once

#include <vector>

#include "inference/exact/elimination_plan.h"

namespace marginalia::planar {

/// Entries of messages that elimination may take to be called narrow: 1/16 GiB of them.
inline constexpr double kNarrowEntries = 1 << 22;

/// Whether elimination takes no more, by one greedy order.
inline bool is_narrow(const FactorModel& model) {
  std::vector<std::vector<std::int64_t>> scopes;
  for (const auto& factor : model.factors)
    scopes.push_back(factor.scope);
  return greedy_cost(model.cardinalities, scopes, kNarrowEntries).complete;
}

}  // namespace marginalia::planar
