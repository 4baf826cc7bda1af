#pragma once

#include <cstdint>

#include <marginalia/state_space.h>

namespace marginalia::mixture {

/// How the log-odds of levels follow from fewer numbers where a variable lies on a scale. Level k
/// of variable i has the normal score t_k, the standard normal quantile of the middle of its
/// stretch of the training rows' distribution, and
///   logit_k = logit_k(mean) + sum_{r=1..R} c_r phi_r(t_k),
/// phi_r the polynomial of degree r, orthonormal under that distribution: R = 1 tilts it, R = 2
/// moves and widens it as a Gaussian over the scores. R is `degree`, or n - 1 for the n levels of a
/// scale with fewer. What is no scale has a number for each level but the first.
/// counts: float64 [D, K], of the training rows; ordered: bool [D, K], Dataset::ordered
/// ->  float64 [C, D (K - 1)]: what each of C numbers adds to the log-odds of levels 1..K - 1
/// against level 0.
Tensor scale_basis(const StateSpace& space, const Tensor& counts, const Tensor& ordered,
                   std::int64_t degree);

}  // namespace marginalia::mixture
