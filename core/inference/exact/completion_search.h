#pragma once

#include <marginalia/inference/exact_model.h>

namespace marginalia {

/// Completions of rows, the best that were found.
struct BestCompletions {
  Tensor states;  ///< int64 [B, D]
  bool proved;    ///< whether none of the rows has a more probable one
};

/// Best-first branch and bound: what is known is completed by ascent from a good start, then
/// variables become known one by one, the most uncertain first, as long as the bound allows
/// something better. A row ends, unproved, after about 2^21 / (D K) partial states, 256 to 4096.
/// model: with max_bound; partial: int64 [B, D], of probability above 0.
BestCompletions search_completions(const ExactModel& model, const Tensor& partial);

}  // namespace marginalia
