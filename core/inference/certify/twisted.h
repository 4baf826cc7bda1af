#pragma once

#include <functional>

#include <marginalia/inference/proposal.h>

namespace marginalia {

/// Twisted sequential Monte Carlo: N particles are extended pass by pass, weighted by
///
///   w_t = exp(F(s_t) - F(s_{t-1})) / q(s_t | s_{t-1}),   F(s_T) = log f(x_S, u) at the end,
///
/// and drawn anew by their weights where those of fewer than half of them count. With F near log
/// f(s) the variance of log Z^ grows with the number of passes, not exponentially as a single
/// chain's.
///
///   Z^ = exp F(s_0) prod_t mean_n w_t^n,   E[Z^] = f(x_S);
///
/// with one particle pinned to an exact posterior sample (conditional SMC), E[1 / Z^] = 1 / f(x_S).
/// F may be anything. Sources: Zhao et al. (2024), arXiv:2404.17546; Andrieu, Doucet and Holenstein
/// (2010), doi:10.1111/j.1467-9868.2009.00736.x.
struct TwistedChains {
  const Proposal& proposal;
  std::function<Tensor(const Tensor&)> log_twist;  ///< F: [B, D] -> float64 [B]
  std::function<Tensor(const Tensor&)> log_sum;    ///< log f at the end: [B, D] -> float64 [B]
  std::int64_t particles = 16;

  struct Estimates {
    Tensor log_estimate;  ///< log Z^: float64 [count]
    double passes = 0;    ///< of one row, for each of them
  };
  /// state: int64 [D]; time: int64 [D], -1 for what is not revealed; pinned: int64 [count, D], or
  /// undefined.
  Estimates draw(const Tensor& state, const Tensor& time, std::int64_t count, const Tensor& pinned,
                 Stream& stream) const;
};

}  // namespace marginalia
