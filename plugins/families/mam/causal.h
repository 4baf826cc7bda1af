#pragma once

#include <optional>

#include <torch/types.h>

#include <marginalia/family.h>

#include "shared/families/role_network.h"

namespace marginalia::mam {

/// log q(x_S) = sum over i in S of log q(x_i | x_j, j in S before i): one pass of a network with
/// causal logits, normalised over the values of S whatever S is. Marginals along one canonical
/// order: Shih, Sadigh, Ermon (2022), arXiv:2205.13554.
class Causal {
 public:
  /// None unless the spec names a network for the role "causal": one that it gives for all roles
  /// is none of its own.
  static std::optional<Causal> of(const marginalia::FamilyContext& context) {
    if (!context.networks.all().contains("causal")) return std::nullopt;
    return Causal(context);
  }

  const marginalia::RoleNetwork& network() const { return network_; }

  /// partial: int64 [B, D]  ->  float64 [B], with a gradient.
  torch::Tensor log_prob(const torch::Tensor& partial) const {
    const auto x = partial.to(network_.device());
    const auto log_q = network_.log_causal(x, order_);
    const auto of_values = log_q.gather(2, x.clamp_min(0).unsqueeze(2)).squeeze(2);
    return of_values.masked_fill(x == marginalia::kUnknown, 0).sum(1, false, torch::kDouble);
  }

 private:
  explicit Causal(const marginalia::FamilyContext& context)
      : network_(context, "causal", marginalia::kCausalLogits), order_(network_->causal_order()) {
    if (!order_.defined()) order_ = torch::arange(context.space.dimension());
    order_ = order_.to(context.device);
  }

  marginalia::RoleNetwork network_;
  torch::Tensor order_;  // int64 [D]
};

}  // namespace marginalia::mam
