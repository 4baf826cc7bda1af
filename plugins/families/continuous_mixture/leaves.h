#pragma once

#include <cstdint>
#include <memory>

#include <marginalia/family.h>
#include <marginalia/inference/tree.h>
#include <marginalia/state_space.h>
#include <marginalia/stream.h>

/// B rows, N components, D variables, K levels.
namespace marginalia::mixture {

namespace trees = marginalia::trees;
using marginalia::Evidence, marginalia::Tensor;

/// N fixed components p(x | z_j), and what is exact about each. Numbers are float64; float32 serves
/// where it is the faster.
class Components {
 public:
  virtual ~Components() = default;
  /// log p(x_S, A | z_j): [B, N], of `type` or float64.
  virtual Tensor log_joint(const Evidence& known, at::ScalarType type) const = 0;
  /// sum_j weight_bj p(x_i = k | x_S, A, z_j), of unknown i.  weight: [B, N], float32 or float64 ->
  /// [B, D, K] of that type or float64.
  virtual Tensor conditionals(const Evidence& known, const Tensor& weight) const = 0;
  /// The unknown variables of row b drawn from component_b, given what is known.
  /// component: int64 [B]  ->  int64 [B, D].
  virtual Tensor sample(const Evidence& known, const Tensor& component,
                        marginalia::Stream& stream) const = 0;
  /// log max_{x_U} p(x_S, x_U | z_j): [B, N].
  virtual Tensor log_greatest(const Tensor& partial) const = 0;
  /// The completion of row b that is that of component_b.  component: int64 [B]  ->  int64 [B, D].
  virtual Tensor most_probable(const Tensor& partial, const Tensor& component) const = 0;
};

/// How a decoder's numbers make p(x | z): log-odds of each level against the first, since
/// level 0 has logit 0.
class Leaves {
 public:
  virtual ~Leaves() = default;
  virtual std::int64_t outputs() const = 0;  ///< numbers a component
  /// The outputs of a component that equals `tree`: [outputs()].
  virtual Tensor to_outputs(const trees::Tree& tree) const = 0;
  /// log sum_j w_j p(x | z_j) of full states, with a gradient into `outputs` and `log_weight`.
  /// x: int64 [B, D]; outputs: float32 [N, outputs()]; log_weight: log w, float32 [N]; undefined:
  /// 1/N each  ->  float32 [B].
  virtual Tensor log_likelihood(const Tensor& x, const Tensor& outputs,
                                const Tensor& log_weight = {}) const = 0;
  virtual std::unique_ptr<Components> components(const Tensor& outputs) const = 0;
  virtual void visit(marginalia::StateVisitor&) {}
};

/// p(x | z) = prod_i p_i(x_i | z).
std::unique_ptr<Leaves> independent_leaves(const marginalia::StateSpace& space);

/// p(x | z) = prod_i p_i(x_i | x_parent(i), z) along one tree for all z.
std::unique_ptr<Leaves> tree_leaves(const marginalia::StateSpace& space, const trees::Tree& tree);

}  // namespace marginalia::mixture
