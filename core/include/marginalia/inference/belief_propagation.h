#pragma once

#include <cstdint>
#include <memory>

#include <marginalia/inference/prior.h>

namespace marginalia {

/// Rounds of sum-product belief propagation, all messages at once, until none moves by more than
/// `tolerance`; each keeps the share `damping` of what it was.
struct BeliefPropagation {
  std::int64_t rounds = 4;
  double damping = 0, tolerance = 0;
};

/// Belief propagation from factors of any kind: Kschischang, Frey and Loeliger (2001),
/// doi:10.1109/18.910572, eq. 5 and 6.
MARGINALIA_API std::unique_ptr<PriorSource> loopy_belief_propagation(
    const Energy& energy, const BeliefPropagation& settings);

}  // namespace marginalia
