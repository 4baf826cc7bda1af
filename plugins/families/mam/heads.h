#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>

#include "causal.h"
#include "shared/families/role_network.h"

namespace marginalia::mam {

/// The networks of a marginalization model: conditionals p(x_i | x_S), and F(x_S) of mam.cpp.
class Heads {
 public:
  /// density: log f, built into F at full states; null: F is learned there too.
  Heads(const FamilyContext& context, const Energy* density);

  const StateSpace& space() const { return space_; }
  at::Device device() const { return device_; }
  const RoleNetwork& conditional() const { return conditional_; }
  const RoleNetwork& marginal() const { return marginal_; }  ///< F less what a causal one says
  const std::optional<Causal>& causal() const { return causal_; }
  LogConditionals conditionals() const { return conditional_.conditionals(); }
  bool density_built_in() const { return density_ != nullptr; }
  bool shared() const { return conditional_.shares(marginal_); }  ///< both are of one network

  /// log p(x_i = k | x_S), [B, D, K], and F of the marginal head, [B], in as few passes as the
  /// networks allow.
  std::pair<Tensor, Tensor> both(const Tensor& partial) const;
  /// F [B], with log f [B] in its place at full states.
  Tensor with_density(const Tensor& F, const Tensor& partial, const Tensor& log_density) const;
  /// F(x_S), log f at full states where it is built in: float64 [B], on the CPU, in passes of its
  /// own.
  Tensor log_sum(const Tensor& partial) const;

  /// The causal network takes a step of maximum likelihood of partial states.
  /// -> log q of them, a constant: [B], or a 0 where there is no such network.
  Tensor learn_causal(Step& step, const Tensor& partial) const;

  /// The parameters that the marginal head alone uses, or the others.
  std::vector<std::pair<std::string, Tensor>> group(bool marginal) const;
  std::vector<ParameterGroup> groups() const;
  void visit(StateVisitor& v) const;
  void set_training(bool training) const;

 private:
  StateSpace space_;
  const Energy* density_;
  at::Device device_;
  RoleNetwork conditional_, marginal_;
  std::optional<Causal> causal_;
};

}  // namespace marginalia::mam
