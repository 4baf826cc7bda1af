#pragma once

#include <functional>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>

#include "params.h"

namespace marginalia::mam {

using torch::Tensor;

/// Pairs of neighbouring partial states along a random order: s_t knows the first t variables, and
/// s_{t+1} one more.
struct Links {
  Tensor before, after;  ///< int64 [B, D]
  Tensor variable;       ///< int64 [B], the one revealed
  Tensor value;          ///< int64 [B], its value
};
/// One link of each row of x at t = D u^power, u stratified uniform on 0..1.
Links draw_links(const Tensor& x, double power, marginalia::Stream& stream);

/// Those of them that this process computes.
inline Links share_of(const marginalia::Step& step, const Links& all) {
  return {step.share(all.before), step.share(all.after), step.share(all.variable),
          step.share(all.value)};
}

/// The same at given t: int64 [B], each in 0..D-1.
Links links_at(const Tensor& x, const Tensor& t, marginalia::Stream& stream);

/// k ~ Poisson(log D) truncated to 1..D: int64 [rows]. How many variables the information loss of
/// particle GFlowNets makes unknown.
Tensor truncated_poisson(std::int64_t rows, std::int64_t dimension, marginalia::Stream& stream);

/// log p(x_i | x_S) at each link's own variable.  log_p: [B, D, K]  ->  [B].
Tensor at_link(const Tensor& log_p, const Links& links);

/// R = F(s_t) + log p(x_i | s_t) - F(s_{t+1}), which is zero for every link of a consistent model
/// (Liu, Ramadge, Adams 2024, eq. 7).
inline Tensor residual(const Tensor& before, const Tensor& log_p, const Tensor& after) {
  return before + log_p - after;
}

/// Nested states of each row of x along a random order, and what its conditionals say of them.
struct Paths {
  Tensor states;    ///< int64 [m B, D]: at the cuts c_1 < ... < c_m = D, the j-th B rows at c_j
  Tensor log_prob;  ///< float [m B], an unbiased estimate of log p(x_{order < c_j} | order)
  std::int64_t passes;
};

/// The rows that this process computes of those of all ranks (marginalia::Step::share).
using Share = std::function<Tensor(const Tensor& rows)>;

/// m = min(blocks, D) cuts, random but for the last. A block from c to c' is, without bias,
///   sum over i in c..c'-1 of log p(x_i | s_c)
///     + (c' - c) times the mean over i in u..c'-1 of log p(x_i | s_u) - log p(x_i | s_c),
/// u uniform on c..c'-1, averaged over `points` stratified u: a pass for s_c and one for each u.
/// Where every variable is a block this is the chain of `order`, exactly, in a pass for each.
/// What is drawn is drawn for all rows of x; the paths are of those that `share` takes of them.
Paths draw_paths(const Tensor& x, const PathTargets& targets,
                 const marginalia::LogConditionals& log_p, marginalia::Stream& stream,
                 const Share& share);

/// exp(d) - d - 1, where d is a draw's log p less what is learned: least where exp(d) has mean 1.
/// Beyond d = 3 it has the slope that it has there: single orders now and then are far above all
/// others.
Tensor exponential_loss(const Tensor& d);

/// sum_k q_k (log q_k - log p_k), averaged over the unknown variables of each row: the
/// cross-entropy of soft labels less their entropy.  labels, log_p: [B, D, K]; unknown: bool [B, D]
/// ->  [B].
Tensor label_divergence(const Tensor& labels, const Tensor& log_p, const Tensor& unknown);

}  // namespace marginalia::mam
