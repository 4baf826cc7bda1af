#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/query.h>
#include <marginalia/stream.h>

namespace marginalia {

class Network;

/// Single-variable conditionals of a partial state: what any-order models learn.
class MARGINALIA_API LogConditionals {
 public:
  using All = std::function<Tensor(const Tensor& partial)>;
  using At = std::function<Tensor(const Tensor& partial, const Tensor& variable)>;
  template <std::invocable<const Tensor&> F>
  LogConditionals(F all) : all_(std::move(all)) {}
  /// `at`: what `at()` answers, where that is cheaper than all variables at once.
  LogConditionals(All all, At at) : all_(std::move(all)), at_(std::move(at)) {}

  /// partial: int64 [B, D]  ->  log p(x_i = k | x_S) for every unknown i: [B, D, K], any float
  /// type.
  Tensor operator()(const Tensor& partial) const { return all_(partial); }
  /// The conditional of one variable in each row.  variable: int64 [B]  ->  [B, K].
  Tensor at(const Tensor& partial, const Tensor& variable) const;

 private:
  All all_;
  At at_;
};

/// Makes the conditionals of a network with logits that works on `device`. Answers are moved to
/// `to`.
MARGINALIA_API LogConditionals make_conditionals(Network& network, at::Device device,
                                                 at::Device to = at::kCPU);

/// Orders of the variables, one a row: order[b, t] is the variable revealed t-th. int64 [B, D].
/// Random, forward or backward.
MARGINALIA_API Tensor draw_orders(Order order, std::int64_t rows, std::int64_t dimension,
                                  Stream& stream);
/// The inverse: rank[b, i] is the time at which variable i is revealed. int64 [B, D].
MARGINALIA_API Tensor to_ranks(const Tensor& orders);

/// Rows that a network is given at once where there are many to answer: enough to fill it, few
/// enough to stay in the caches.
MARGINALIA_API std::int64_t rows_a_pass(std::int64_t dimension);

/// log p(x_Q | x_E) as the sum of conditionals along `orders` restricted to Q:
///   sum_t log p(x_{q_t} | x_E, x_{q_1}, ..., x_{q_{t-1}}).
/// `partial` holds x_Q and x_E; `given` (or undefined) x_E alone. The (row, time) pairs are
/// evaluated together, at most `chunk` a call (0: by their size), each needing one pass of one row.
struct ChainScore {
  Tensor log_prob;  ///< float64 [B]
  double passes;    ///< a row, on average: |Q|
};
MARGINALIA_API ChainScore score_chain(const LogConditionals& conditionals, const Tensor& partial,
                                      const Tensor& given, const Tensor& orders,
                                      std::int64_t chunk = 0);

/// The same where several variables are revealed in a pass: time[b, i], int64 [B, D] from 0, is the
/// pass of variable i. The chain's own value where those of one pass are independent given the
/// rest.
MARGINALIA_API ChainScore score_in_passes(const LogConditionals& conditionals,
                                          const Tensor& partial, const Tensor& given,
                                          const Tensor& time);

/// The log-mean-exp of score_chain over `count` random orders of each row:
///   log 1/M sum_m p(x_Q | x_E, order_m).
MARGINALIA_API ChainScore score_ensemble(const LogConditionals& conditionals, const Tensor& partial,
                                         const Tensor& given, std::int64_t count, Stream& stream);

/// An unbiased estimate, from `count` masks, of the mean over orders of score_chain: for nested
/// S in x_Q, |S| stratified uniform on 0..|Q|-1,
///   |Q| times the mean over masks of the mean over i in Q - S of log p(x_i | x_E, x_S).
/// By Jensen a lower bound, in expectation, on the log-likelihood of the mixture over orders:
/// Hoogeboom et al. (2022), arXiv:2110.02037, eq. 5.
MARGINALIA_API ChainScore score_masked(const LogConditionals& conditionals, const Tensor& partial,
                                       const Tensor& given, std::int64_t count, Stream& stream);

/// Ancestral sampling of the unknown variables along `orders`; log_prob is log q(x_U | x_E, order).
struct ChainSample {
  Tensor states;    ///< int64 [B, D]
  Tensor log_prob;  ///< float64 [B]
  double passes;
};
MARGINALIA_API ChainSample sample_chain(const LogConditionals& conditionals, const Tensor& partial,
                                        const Tensor& orders, Stream& stream);

/// The same where several variables are revealed in a pass, independently of each other: time[b,
/// i], int64 [B, D] from 0, is the pass of variable i. What is drawn for a variable depends on the
/// stream and on its conditionals alone, not on what shares its pass.
MARGINALIA_API ChainSample sample_in_passes(const LogConditionals& conditionals,
                                            const Tensor& partial, const Tensor& time,
                                            Stream& stream);

/// The passes of Order::kParallel: colours, int64 [D], in a random order for each row.
/// -> time, int64 [B, D].
MARGINALIA_API Tensor draw_times(const Tensor& colours, std::int64_t rows, Stream& stream);

/// The same in blocks: the variables that stand next along `orders` are drawn independently of each
/// other, blocks[j] of them in the j-th pass, so that sum(blocks) >= the most unknown in a row; its
/// log_prob is that of this block-wise law.
/// Source: Hoogeboom et al. (2022), arXiv:2110.02037, sect. 4.
MARGINALIA_API ChainSample sample_blocks(const LogConditionals& conditionals, const Tensor& partial,
                                         const Tensor& orders,
                                         const std::vector<std::int64_t>& blocks, Stream& stream);

/// Sizes of `count` blocks that cover the last `unknown` of D variables with the least loss:
///   min of sum_j blocks_j loss[known when block j is drawn],
/// by dynamic programming over (block, known).  loss: nats a variable by the number known, [D],
/// which falls with it.
/// Source: Hoogeboom et al. (2022), arXiv:2110.02037, sect. 4.1; Watson et al. (2021),
/// arXiv:2106.03802.
MARGINALIA_API std::vector<std::int64_t> best_blocks(const std::vector<double>& loss,
                                                     std::int64_t unknown, std::int64_t count);

/// What is known of conditionals beside their values.
struct ConditionalsInfo {
  Tensor colours = {};            ///< Network::colours(); undefined: none, and no Order::kParallel
  std::vector<double> loss = {};  ///< of best_blocks, for samples in blocks; empty: of equal size
};

/// Answers kLogMarginal by "chain", "ensemble", "masked" or "paths", kConditionals and kSample: all
/// that conditionals alone can say. "paths" is of the law that samples in random orders follow: the
/// mean over as many orders of all variables, of which those not asked about are drawn. Of sets of
/// values (Query::allowed) elsewhere their variables come first among the unknown ones, jointly and
/// exactly where the product of the sets' sizes is at most 10^5, by particles beyond.
MARGINALIA_API Answer answer_from_conditionals(const LogConditionals& conditionals,
                                               const Query& query, Stream& stream,
                                               const ConditionalsInfo& info = {});
/// What answer_from_conditionals offers, for Family::capabilities().
MARGINALIA_API std::vector<Capability> capabilities_of_conditionals();

}  // namespace marginalia
