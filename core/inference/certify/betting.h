#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/api.h>

namespace marginalia {

/// A lower confidence bound on the mean mu of independent non-negative numbers X_1, X_2, ..., which
/// holds however long one looks, and whatever their variance and their largest value are.
///
///   W_N(m) = sum_j pi_j prod_{i <= N} (1 + lambda_j (X_i / m - 1)),   lambda_j in (0, 1]
///
/// is what a gambler has after N fair bets if mu = m, a non-negative martingale that starts at 1,
/// and falls with m. By Ville's inequality P(some N: W_N(mu) >= 1 / delta) <= delta, so that
///
///   P(some N: sup{m : W_N(m) >= 1 / delta} > mu) <= delta.
///
/// This still holds where the law of X_i is chosen from what came before, as long as its mean is mu
/// (or less). A gambler who has seen enough of bad numbers may begin anew: a quarter of the stake
/// is kept for that, half of it for the first time, a quarter for the next, and so on, which leaves
/// W a martingale. The lambda_j are fixed, 2^{-j/2} with weights pi_j ~ 1 / (j + 1). Everything is
/// in log space, float64. Sources: Waudby-Smith and Ramdas (2024), doi:10.1093/jrsssb/qkad009,
/// theorem 1; mixtures for heavy tails: Mineiro (2022), arXiv:2210.11133.
class MARGINALIA_API BettingBound {
 public:
  /// log X_i, nats; -inf for 0. Throws Error for NaN and +inf.
  void add(double log_x);
  std::int64_t count() const { return std::int64_t(log_x_.size()); }
  /// To be called when better numbers, of the same mean, are to follow; before they are drawn.
  void restart();

  // The log of the mean of the X_i since the last restart, or of all X_i where none came since.
  double log_mean() const;  ///< -inf where there are none
  /// log of the bound, the largest that any call has found for this delta; -inf while there is
  /// none.
  double log_lower(double delta);

 private:
  double log_wealth(double log_m) const;
  double log_wealth_since(std::size_t first, double log_m) const;
  double log_mean_since(std::size_t first) const;
  std::size_t last_start() const;

  std::vector<double> log_x_;
  std::vector<std::size_t> starts_{0};
  double delta_ = 0, best_ = 0;  // best_: for delta_
};

}  // namespace marginalia
