#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include <marginalia/family.h>

#include "energy_model.h"
#include "params.h"
#include "policy.h"
#include "replay.h"
#include "shared/families/role_network.h"

namespace marginalia::gflownet {

using namespace marginalia;

struct LogZ final : torch::nn::Module {
  explicit LogZ(double start) { value = register_parameter("value", torch::full({1}, start)); }
  Tensor value;
};

class GFlowNet final : public Family {
 public:
  static constexpr const char* kName = "gflownet";
  static constexpr const char* kSummary =
      "generative flow network over partial states, from an energy, or with one from data";
  static constexpr const char* kFormula =
      "F(x_S) o(i | x_S) p(x_i | x_S) = F(x_{S+i}) b(i | x_{S+i}),  F(x) = f(x),  F(empty) = Z";
  static constexpr const char* kSource =
      "Bengio et al. (2023), arXiv:2111.09266; Malkin et al. (2022), arXiv:2201.13259; "
      "Madan et al. (2023), arXiv:2209.12782; from data: Zhang et al. (2022), arXiv:2202.01361";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {{"conditional", kLogits},
                                                                {"marginal", kLogMarginal},
                                                                {"position", kPositionLogits},
                                                                {"energy", kLogMarginal}};

  using Params = gflownet::Params;
  static Json upgrade(const Json& old, int) { return gflownet::upgrade(old); }

  GFlowNet(const Params& params, const FamilyContext& context);

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override;
  void step(Step& step) override;
  std::vector<ParameterGroup> parameters() override;
  void visit(StateVisitor& v) override;
  void set_training(bool training) override {
    for (const auto& network : networks())
      network->train(training);
  }

 private:
  bool by_variance() const { return std::holds_alternative<LogVariance>(params_.objective); }
  bool has_flows() const { return learns_flows(params_.objective); }
  bool is_learned() const { return ordering_ == Ordering::kLearned; }
  bool is_fixed() const { return !is_learned() && ordering_ != Ordering::kRandom; }
  bool learns_backward() const;
  bool has_marginals() const { return has_flows() && !learns_backward(); }

  void build_energy_model(const FamilyContext& context);
  /// The networks in use, each once, under the first of its roles.
  std::vector<RoleNetwork> networks() const;

  // Training.
  Paths sampled(Step& step, std::int64_t rows) const;
  Tensor policy_loss(Step& step, const Paths& paths, const Tensor& log_density);
  void follow(const Tensor& mean, std::int64_t step);
  void from_energy(Step& step);
  void from_data(Step& step);

  // Answers.
  Tensor head(const Tensor& partial) const;
  Tensor log_density(const Tensor& states) const;
  Tensor log_flow(const Tensor& partial) const;
  Answer one_pass(const Query& query) const;
  Tensor along_order(const Tensor& partial) const;
  Answer from_policy(const Query& query, Stream& stream) const;
  Answer from_conditionals(Query query, Stream& stream) const;
  void check_prefix(const Tensor& partial) const;
  Answer compute_answer(const Query& query, Stream& stream) const override;

  Params params_;
  StateSpace space_;
  const Energy* energy_;
  at::Device device_;
  Ordering ordering_;
  RoleNetwork conditional_;
  std::optional<RoleNetwork> marginal_, position_;  // none where not in use
  Policy policy_;
  Replay replay_;
  std::shared_ptr<LogZ> log_z_;
  std::unique_ptr<EnergyModel> model_;  // null where the spec has an energy
  Tensor weights_;                      // w_ij of balance.h
};

}  // namespace marginalia::gflownet
