#pragma once

#include <marginalia/family.h>
#include <marginalia/params.h>

#include "policy.h"

namespace marginalia::gflownet {

struct EnergyModelParams {
  std::int64_t steps = 0;
  double data_share = 0.5;
  void visit(marginalia::ParamVisitor& p) {
    p("steps", steps,
      {.doc = "K, back from a row of data and forth again for its contrast; 0: all D", .min = 0});
    p("data_share", data_share,
      {.doc = "of the trajectories that the policy learns from, those that end in data",
       .min = 0.0,
       .max = 1.0});
  }
};

/// A density learned from data together with the policy that samples it:
///   loss = mean log f(x') - mean log f(x),   x data,
/// whose gradient is that of -log p(x) where x' ~ f / Z (contrastive divergence). x' is x taken K
/// steps back, by a uniform b or along the fixed order, and forth again by P_F to y, and accepted
/// with chance
///   min(1, f(y) b(y -> s) P_F(s -> x) / f(x) b(x -> s) P_F(s -> y)),
/// in which the two b are equal, and which leaves f / Z invariant; else x' = x, and the row says
/// nothing.
/// Source: Zhang et al. (2022), arXiv:2202.01361.
class EnergyModel {
 public:
  EnergyModel(const EnergyModelParams& params, RoleNetwork network)
      : params_(params), network_(std::move(network)) {}

  const RoleNetwork& network() const { return network_; }
  /// log f(x), with its gradient.  x: int64 [B, D]  ->  float32 [B], on the device.
  Tensor log_density(const Tensor& x) const { return network_.log_marginal(x); }
  /// The loss above.  x: int64 [B, D]  ->  a scalar.
  Tensor contrast(const Tensor& x, const Policy& policy, marginalia::Step& step) const;

 private:
  EnergyModelParams params_;
  RoleNetwork network_;
};

}  // namespace marginalia::gflownet
