#pragma once

#include <string>

#include <marginalia/inference/any_order.h>
#include <marginalia/params.h>

namespace marginalia::masked_diffusion {

using marginalia::Tensor;

/// The absorbing process: by time t in 0..1 each variable is hidden with probability m(t) =
/// 1 - alpha(t), independently, m(0) = 0 and m(1) = 1. What is learned from exact conditionals does
/// not depend on m; the noise of the estimates does.
enum class Schedule { kLinear, kQuadratic, kCosine };
Schedule schedule_named(const std::string& name);  ///< "linear", "quadratic", "cosine"

/// m(t): t, t^2, sin(pi t / 2).
Tensor hidden_share(Schedule schedule, const Tensor& t);
/// The t at which m(t) = v, for v in 0..1.
Tensor time_of_share(Schedule schedule, const Tensor& v);
/// w(t) = d log m / dt = -alpha'(t) / (1 - alpha(t)): 1/t, 2/t, pi/2 cot(pi t / 2).
Tensor loss_weight(Schedule schedule, const Tensor& t);

/// Full states with some variables hidden, and what the loss of a row counts for.
struct Hidden {
  Tensor partial;  ///< int64 [B, D]
  Tensor unknown;  ///< bool [B, D]
  Tensor weight;   ///< float [B]
};

/// One time for each row, of low discrepancy: t_b is uniform on least..1, and each of the B equal
/// parts of the range has one. The weight is (1 - least) w(t): the bound but for its part below
/// `least`, which is about least * sum_i -log p(x_i | x_{-i}) for the linear schedule.
/// Source: Sahoo et al. (2024), arXiv:2406.07524.
Hidden hide_by_time(const Tensor& x, Schedule schedule, double least, marginalia::Stream& stream);

/// The integral over t in closed form: a set of n hidden variables counts for D / n, n uniform on
/// 1..D (stratified). The same expectation with no part left out, and less noise.
Hidden hide_by_size(const Tensor& x, marginalia::Stream& stream);

/// weight * sum over the hidden i of -log p(x_i | x_S): an estimate of the bound on -log p(x).
/// log_p: float [B, D, K]; x: int64 [B, D]  ->  float [B], nats.
Tensor bound(const Tensor& log_p, const Tensor& x, const Hidden& hidden);

/// The bound on log p(x_Q | x_E) from `count` masks of each row, as score_masked (any_order.h) has
/// it, but with times in place of sizes:
///   integral over t of w(t) E sum over the hidden i in Q of log p(x_i | x_E, the rest of x_Q).
/// The times follow the quadratic schedule, whose estimate has a finite variance with nothing left
/// out. A mask that hides nothing takes no pass.
marginalia::ChainScore score_by_time(const marginalia::LogConditionals& conditionals,
                                     const Tensor& partial, const Tensor& given, std::int64_t count,
                                     marginalia::Stream& stream);

}  // namespace marginalia::masked_diffusion
