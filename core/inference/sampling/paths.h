#pragma once

#include <cstdint>

#include <marginalia/inference/any_order.h>

namespace marginalia {

/// log of the mean over paths of what `known` has along them: B rows, D variables.
///
/// A path reveals all unknown variables one by one, each row's in a random order of its own, until
/// those of `known` are: one of these counts for the share of its conditional that fits, and any
/// other is drawn, so that the expectation is the probability under the law of samples in random
/// orders,
///   E_order E_x prod_{j in S} p(x_j | before) prod_{j in A} sum_a p(a | before) allowed_j(a),
/// and a path's product is never above 1. `given`: int64 [B, D], known from the start; or
/// undefined.
ChainScore score_paths(const LogConditionals& conditionals, const Evidence& known,
                       const Tensor& given, std::int64_t paths, Stream& stream);

}  // namespace marginalia
