#pragma once

#include <cstdint>
#include <string>

#include <marginalia/api.h>
#include <marginalia/stream.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// Successive states of chains that have burnt in.
struct ChainDraws {
  Tensor states;  ///< int64 [C, N, D]: N of each of C chains
  /// Variables, ascending, that no move changed in any chain though two of their values are
  /// allowed: the states do not tell how probable those are.
  std::vector<std::int64_t> never_moved = {};
};

/// Markov chains that leave a density invariant: what reference samples are made of.
class MARGINALIA_API ChainSource {
 public:
  virtual ~ChainSource();
  virtual std::string method() const = 0;  ///< "swendsen_wang"
  virtual std::int64_t count() const = 0;  ///< C, chains
  /// Energy evaluations, rows x sites, of `draws` draws of every chain, burn-in included.
  virtual std::int64_t evaluations(std::int64_t draws) const = 0;
  /// `draws` successive states of each of C chains that started at random and have burnt in. They
  /// depend on the stream alone.
  virtual ChainDraws draw(std::int64_t draws, Stream& stream) const = 0;
};

// Statistics of N successive draws of a number in each of C chains: float64 [C, N].

/// Split R-hat: each chain is cut in two, and the variance between the halves is held against that
/// within them; 1 where they agree, infinite where none of them moves, NaN for N < 4 and for draws
/// that are all the same.
/// Source: Gelman et al. (2013), Bayesian Data Analysis, section 11.4.
MARGINALIA_API double split_r_hat(const Tensor& draws);

/// Integrated autocorrelation time in draws,
///   tau = 1/2 + sum_{t=1..W} rho(t),  W the first with W >= 5 tau(W),
/// so that the mean of N draws has variance 2 tau var / N; 1/2 where draws are independent, and no
/// less. rho is about the mean of all chains: chains that disagree never forget. Where N is too
/// short for the window to close, N / 2: a chain counts as one draw.
/// Source: Sokal (1997), "Monte Carlo methods in statistical mechanics", section 3.
MARGINALIA_API double autocorrelation_time(const Tensor& draws);

/// The mean of all draws, and its standard error sqrt(2 tau var / (C N)).
struct ChainMean {
  double value;
  double error;  ///< 0 for a single draw
  double time;   ///< tau
};
MARGINALIA_API ChainMean chain_mean(const Tensor& draws);

}  // namespace marginalia
