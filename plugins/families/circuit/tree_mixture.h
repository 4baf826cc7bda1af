#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <marginalia/family.h>
#include <marginalia/inference/tree.h>
#include <marginalia/stream.h>

namespace marginalia::circuit {

/// M trees, each with its own edges:  p(x) = sum_m w_m prod_i p_m(x_i | x_parent_m(i)).
/// B rows, D variables, K levels.
class TreeMixture {
 public:
  /// smoothing: rows added to those of each tree, spread evenly over all values.
  TreeMixture(const marginalia::StateSpace& space, std::int64_t components, double smoothing);

  bool started() const { return weight_.defined(); }
  /// One step of EM over the training split; the first starts from random responsibilities. The
  /// M step is the algorithm of Chow and Liu on weighted counts.  -> the mean log p before it.
  double step(const marginalia::Dataset& dataset, marginalia::Step& step);

  // In float64 in any case.
  Tensor log_marginal(const Evidence& known, bool = false) const;      ///< float64 [B]
  Tensor log_conditionals(const Evidence& known, bool = false) const;  ///< float64 [B, D, K]
  Tensor sample(const Evidence& known, marginalia::Stream& stream) const;
  /// argmax over m and x_U of w_m p_m(x_S, x_U): int64 [B, D].
  Tensor most_probable(const Tensor& partial) const;
  /// log sum_m max_{x_U} w_m p_m(x_S, x_U): float64 [B].
  Tensor max_bound(const Tensor& partial) const;
  void visit(marginalia::StateVisitor& v);

 private:
  /// Training rows and to what share each tree explains them, of this process.
  struct Explained {
    std::vector<Tensor> rows, responsibility;  // int64 [B, D], float64 [B, M]
    double log_p = 0;                          // their sum
  };
  Explained explain(const marginalia::Dataset& dataset, marginalia::Step& step) const;
  /// Tree m from the rows of all processes.  -> the tree, and how many rows it explains.
  std::pair<marginalia::trees::Tree, double> fit(std::int64_t m, const Explained& explained,
                                                 bool has_gaps, marginalia::Step& step) const;
  void derive();
  Tensor log_joint(const Evidence& known) const;     // log w_m p_m(x_S, A): [B, M]
  Tensor log_greatest(const Tensor& partial) const;  // log w_m max_{x_U} p_m(x_S, x_U): [B, M]

  marginalia::StateSpace space_;
  std::int64_t M_;
  double smoothing_;
  Tensor weight_;              // float64 [M]
  Tensor parent_, order_, p_;  // of all trees: [M, D], [M, D], [M, D, K, K]
  std::vector<marginalia::trees::Tree> trees_;
};

}  // namespace marginalia::circuit
