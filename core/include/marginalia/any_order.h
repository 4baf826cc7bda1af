#pragma once

#include <functional>

#include <marginalia/api.h>
#include <marginalia/query.h>
#include <marginalia/state_space.h>
#include <marginalia/stream.h>

namespace marginalia {

/// Single-variable conditionals of a partial state, all at once: what any-order models learn.
/// partial: int64 [B, D]  ->  log p(x_i = k | x_S) for every unknown i: [B, D, K], any float type.
using LogConditionals = std::function<Tensor(const Tensor& partial)>;

/// Orders of the variables, one a row: order[b, t] is the variable revealed t-th. int64 [B, D].
MARGINALIA_API Tensor draw_orders(Order order, std::int64_t rows, std::int64_t dimension,
                                  Stream& stream);
/// The inverse: rank[b, i] is the time at which variable i is revealed. int64 [B, D].
MARGINALIA_API Tensor ranks_of(const Tensor& orders);

/// log p(x_Q | x_E) as the sum of conditionals along `orders` restricted to Q:
///   sum_t log p(x_{q_t} | x_E, x_{q_1}, ..., x_{q_{t-1}}).
/// `partial` holds x_Q and x_E; `given` (or undefined) x_E alone. The (row, time) pairs are
/// evaluated together, at most `chunk` a call, each needing one pass of one row.
struct ChainScore {
  Tensor log_prob;  ///< float64 [B]
  double passes;    ///< a row, on average: |Q|
};
MARGINALIA_API ChainScore score_chain(const LogConditionals& conditionals, const Tensor& partial,
                                      const Tensor& given, const Tensor& orders,
                                      std::int64_t chunk = 4096);

/// The log-mean-exp of score_chain over `count` random orders of each row:
///   log 1/M sum_m p(x_Q | x_E, order_m).
MARGINALIA_API ChainScore score_ensemble(const LogConditionals& conditionals, const Tensor& partial,
                                         const Tensor& given, std::int64_t count, Stream& stream);

/// Ancestral sampling of the unknown variables along `orders`; log_prob is log q(x_U | x_E, order).
struct ChainSample {
  Tensor states;    ///< int64 [B, D]
  Tensor log_prob;  ///< float64 [B]
  double passes;
};
MARGINALIA_API ChainSample sample_chain(const LogConditionals& conditionals, const Tensor& partial,
                                        const Tensor& orders, Stream& stream);

/// Answers kLogMarginal by "chain" or "ensemble", kConditionals and kSample: all that conditionals
/// alone can say.
MARGINALIA_API Answer answer_from_conditionals(const LogConditionals& conditionals,
                                               const StateSpace& space, const Query& query,
                                               Stream& stream);
/// What answer_from_conditionals offers, for Family::capabilities().
MARGINALIA_API std::vector<Capability> capabilities_of_conditionals();

}  // namespace marginalia
