#pragma once

#include <marginalia/inference/any_order.h>

#include "absorbing.h"
#include "params.h"

namespace marginalia::masked_diffusion {

/// The pass in which each variable is revealed when the process is run back from t = 1 to 0 in T
/// equal steps: independently of each other, P(pass < j) = alpha(1 - j/T). As time of
/// sample_in_passes (any_order.h) this is the published sampler, whose steps that reveal nothing
/// take no pass.  -> int64 [rows, D], 0..T-1.
/// Source: Sahoo et al. (2024), arXiv:2406.07524.
Tensor draw_reveal_times(Schedule schedule, std::int64_t rows, std::int64_t dimension,
                         std::int64_t steps, marginalia::Stream& stream);

/// A random `share` of the variables of `among` in each row, one at least: bool [B, D].
Tensor draw_subset(const Tensor& among, double share, marginalia::Stream& stream);

/// Samples in passes with a corrector. A round that redraws one variable is a Gibbs update: it
/// leaves the law of the conditionals invariant where they are those of one law. Several at a time
/// are drawn independently of each other, which is approximate. What log q of a sample is, nobody
/// knows: log_prob is NaN.
/// time: int64 [B, D] from 0.
marginalia::ChainSample sample_corrected(const marginalia::LogConditionals& conditionals,
                                         const Tensor& partial, const Tensor& time,
                                         const Corrector& corrector, marginalia::Stream& stream);

}  // namespace marginalia::masked_diffusion
