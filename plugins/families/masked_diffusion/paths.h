#pragma once

#include <cstdint>
#include <functional>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>

#include "params.h"

namespace marginalia::masked_diffusion {

using marginalia::Tensor;

// A path reveals the variables of x one after the other in a random order; with q the model,
//   W = log f(x) - sum_t log q(x_{order t} | x_{order <t}),
// is constant, and then log Z, where q is the target's. E_q[exp W] = Z for any q.
// Source: Zhu et al. (2025), arXiv:2508.10684.

/// A scalar with the value of the sample variance of W over paths, and its gradient at fixed paths:
/// the log-variance divergence. Rows of one `group`, int64 [B] from 0, have a variance of their
/// own; the value is the mean of them by rows. W: float64 [B], without a gradient; log_q: [B], with
/// it. Throws Error where a W is -inf, of a state that the energy forbids.
Tensor log_variance(const Tensor& W, const Tensor& log_q, const Tensor& group);

/// An unbiased estimate of sum over t in first..D-1 of log q(x_{order t} | x_{order <t}) from n of
/// these terms, stratified; all of them where first is 0 and n = D. conditionals: with the
/// gradient; first: int64 [B].  -> [B].
Tensor some_terms(const marginalia::LogConditionals& conditionals, const Tensor& x,
                  const Tensor& orders, const Tensor& first, std::int64_t n,
                  marginalia::Stream& stream);

/// Which paths begin together: `root_fraction` of the batch from the empty state, the others in
/// pairs or more from a state that the model has drawn in part, of stratified size 1..D-1.
struct Branches {
  Tensor first;   ///< int64 [B], how many variables are known where the row begins
  Tensor parent;  ///< int64 [B], the row of `roots` that it begins at
  Tensor roots;   ///< int64 [G], the number of variables known in each
};
Branches draw_branches(std::int64_t rows, std::int64_t dimension, std::int64_t siblings,
                       double root_fraction, marginalia::Stream& stream);

/// log Z as it was met on the way: the log of a moving average of exp W, at the energy's own
/// temperature whatever the annealing.
class RunningLogZ {
 public:
  void add(const Tensor& W);  ///< float64 [N]; paths that end in forbidden states weigh nothing
  /// Throws Error before the first path.
  Tensor value() const;  ///< float64 [1]
  void visit(marginalia::StateVisitor& v) { v("model.log_z", state_); }

 private:
  static constexpr double kRate = 0.05;
  Tensor state_;  // float64 [2]: its log, how often it was added to
};

/// The ends of the latest paths, whatever model drew them, with what their weights are made of.
class Replay {
 public:
  explicit Replay(const ReplayParams& params) : params_(params) {}
  bool due(std::int64_t step) const;
  /// states: int64 [N, D]; log_f at b = 1 and log_q: float64 [N].
  void add(std::int64_t step, const Tensor& states, const Tensor& log_f, const Tensor& log_q);
  /// Self-normalised weights of f^b: softmax(b log f - log q), float64 [N]. Throws Error where the
  /// energy forbids every state.
  Tensor weights(double b) const;
  /// `rows` of the states, each in proportion to its weight by systematic resampling, in a random
  /// order: int64 [rows, D].
  Tensor draw(std::int64_t rows, double b, marginalia::Stream& stream) const;
  void visit(marginalia::StateVisitor& v);

 private:
  ReplayParams params_;
  Tensor states_, log_f_, log_q_;
  Tensor next_;  // int64: the step at which fresh paths are due
};

}  // namespace marginalia::masked_diffusion
