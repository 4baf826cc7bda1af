#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>

namespace marginalia {

/// The network of one role of a family, and the device that it computes on. Its parameters are a
/// group named ROLE; checkpoints call its tensors "model.ROLE." and their dotted names.
class RoleNetwork {
 public:
  RoleNetwork(std::string role, std::shared_ptr<Network> network, at::Device device)
      : role_(std::move(role)), network_(std::move(network)), device_(device) {}
  /// Throws SpecError where the spec has no network for `role`, or one that lacks some of `heads`.
  RoleNetwork(const FamilyContext& context, const std::string& role, HeadSet heads)
      : RoleNetwork(role, context.networks.at(role, heads), context.device) {}

  const std::string& role() const { return role_; }
  std::string prefix() const { return "model." + role_ + "."; }  ///< of names in checkpoints
  at::Device device() const { return device_; }
  /// Whether one network plays both roles.
  bool shares(const RoleNetwork& other) const { return network_ == other.network_; }
  Network& operator*() const { return *network_; }
  Network* operator->() const { return network_.get(); }

  std::vector<std::pair<std::string, Tensor>> parameters() const {
    return collect_parameters(*network_, prefix());
  }
  ParameterGroup group() const { return {role_, parameters()}; }
  void visit(StateVisitor& visitor) const { visitor.module(prefix(), *network_); }

  // Partial states are int64 [B, D], on any device; what is computed of them has a gradient and is
  // on the network's own.

  Heads evaluate(const Tensor& partial, HeadSet heads) const {
    return network_->evaluate({partial.to(device_)}, heads);
  }
  /// log p(x_i = k | x_S): [B, D, K].
  Tensor log_conditionals(const Tensor& partial) const {
    return log_softmax_levels(evaluate(partial, kLogits).logits);
  }
  /// log p(x_S) up to one constant: [B].
  Tensor log_marginal(const Tensor& partial) const {
    return evaluate(partial, kLogMarginal).log_marginal;
  }
  /// log p(x_i = k | what comes before i in `order`, int64 [D]): [B, D, K]. What comes later may be
  /// unknown.
  Tensor log_causal(const Tensor& partial, const Tensor& order) const {
    const auto orders = order.expand_as(partial).contiguous();
    const auto heads = network_->evaluate({partial.to(device_), orders.to(device_)}, kCausalLogits);
    return log_softmax_levels(heads.causal_logits);
  }
  /// What samples and scores are computed from; answers come to `to`.
  LogConditionals conditionals(at::Device to = at::kCPU) const {
    return make_conditionals(*network_, device_, to);
  }

 private:
  std::string role_;
  std::shared_ptr<Network> network_;
  at::Device device_;
};

}  // namespace marginalia
