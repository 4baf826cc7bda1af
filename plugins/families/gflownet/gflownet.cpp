/// \file
/// Generative flow network that reveals one variable a step until the state is full.
///
///   F(s) o(i | s) p(x_i | s) = F(s') b(i | s'),   F(x) = f(x),   F(empty) = Z
/// for every step s -> s' = s + x_i, in random, fixed or learned order: balance.h has the
/// equations, and why F is the marginal that mam learns. Full states are samples of f / Z wherever
/// they balance, whatever policy drew the trajectories that they were learned from: so training may
/// explore, replay, and reveal a known state backwards.
///
/// log G(x_S) = log Z + h(x_S) - h(empty), h the marginal head and log Z a number with a learning
/// rate of its own (training.optimizer.factors: {"log_z": 100}).
///
/// From data alone the density is a network too, and both learn together: log f rises at data x and
/// falls at x', where x' comes from x by K steps back and K forth of the policy and a Metropolis
/// test (energy_model.h), and the policy learns to sample f. Source: Bengio et al. (2023),
/// arXiv:2111.09266; Zhang et al. (2022), arXiv:2202.01361 (from data); da Silva, Mesquita, Lahlou
/// (2026), arXiv:2609.11538.
#include "gflownet.h"

#include <algorithm>
#include <iterator>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>

#include "balance.h"

namespace marginalia::gflownet {

/// The network of a role; none unless it is used.
static std::optional<RoleNetwork> make_network(const FamilyContext& context, const char* role,
                                               HeadSet heads, bool used) {
  if (!used) return std::nullopt;
  return RoleNetwork(context, role, heads);
}

static Ordering to_ordering(const Reveal& order) {
  return std::visit([](const auto& chosen) { return ordering_named(chosen.kName); }, order);
}

bool GFlowNet::learns_backward() const {
  const auto* learned = std::get_if<LearnedReveal>(&params_.order);
  return learned && learned->backward == "learned";
}

GFlowNet::GFlowNet(const Params& params, const FamilyContext& context)
    : params_(params),
      space_(context.space),
      energy_(context.energy),
      device_(context.device),
      ordering_(to_ordering(params.order)),
      conditional_(context, "conditional", kLogits),
      marginal_(make_network(context, "marginal", kLogMarginal, has_flows())),
      position_(make_network(context, "position", kPositionLogits, is_learned())),
      policy_(ordering_, learns_backward(), conditional_, position_),
      replay_(params.replay),
      log_z_(std::make_shared<LogZ>(space_.log_states())) {
  if (!by_variance()) weights_ = pair_weights(params.objective, space_.dimension()).to(device_);
  if (!energy_) build_energy_model(context);
  log_z_->to(device_, type_beside(context.precision.training));
}

void GFlowNet::build_energy_model(const FamilyContext& context) {
  if (!context.dataset) throw SpecError("learns from an \"energy\" or a \"dataset\"");
  need_complete_rows(context.dataset);
  const RoleNetwork network(context, "energy", kLogMarginal);
  if (network.shares(conditional_) || (marginal_ && network.shares(*marginal_)))
    throw SpecError(
        "from data alone the density is a network of its own: give one for each of the roles "
        "\"conditional\", \"marginal\" and \"energy\"");
  model_ = std::make_unique<EnergyModel>(params_.model, network);
}

std::vector<RoleNetwork> GFlowNet::networks() const {
  std::vector<RoleNetwork> all{conditional_};
  const auto add = [&](const RoleNetwork& network) {
    const auto same = [&](const RoleNetwork& known) { return known.shares(network); };
    if (std::ranges::none_of(all, same)) all.push_back(network);
  };
  if (marginal_) add(*marginal_);
  if (position_) add(*position_);
  if (model_) add(model_->network());
  return all;
}

std::vector<Capability> GFlowNet::capabilities() const {
  std::vector<Capability> all;
  if (has_marginals() && !is_fixed())
    all.push_back({QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass});
  if (is_learned()) {
    all.push_back({QueryKind::kLogMarginal, "ensemble", Status::kEstimate, "2 orders x |S|",
                   Route::kEnsemble});
    all.push_back({QueryKind::kSample, "policy", Status::kExact, "2 |U|"});
  } else if (is_fixed()) {
    all.push_back({QueryKind::kLogMarginal, "chain", Status::kExact, "|S|; S begins the order",
                   Route::kAlongOrder});
    all.push_back({QueryKind::kConditionals, "one_pass", Status::kExact,
                   "1; of the variable that is next in the order", Route::kOnePass});
    all.push_back({QueryKind::kSample, "chain", Status::kExact, "|U|; evidence begins the order",
                   Route::kAlongOrder});
  } else {
    std::ranges::copy(capabilities_of_conditionals(), std::back_inserter(all));
  }
  all.push_back({QueryKind::kLogZ, "learned", Status::kEstimate, "0"});
  return all;
}

std::vector<ParameterGroup> GFlowNet::parameters() {
  std::vector<ParameterGroup> groups{{"conditional", {}}};
  const auto add = [&](const std::string& group, std::pair<std::string, Tensor> parameter) {
    auto found = std::ranges::find(groups, group, &ParameterGroup::name);
    if (found == groups.end()) found = groups.insert(groups.end(), {group, {}});
    found->parameters.push_back(std::move(parameter));
  };
  for (const auto& network : networks()) {
    for (auto& parameter : network.parameters()) {
      // of a network that has several heads, what one of them alone uses
      std::string group = network.role();
      for (const std::string part : {"marginal", "position"})
        if (network.role() == "conditional" && parameter.first.starts_with(network.prefix() + part))
          group = part;
      const bool used = (group != "marginal" || marginal_) && (group != "position" || position_);
      if (used) add(group, std::move(parameter));
    }
  }
  if (!by_variance()) add("log_z", {"model.log_z.value", log_z_->value});
  return groups;
}

void GFlowNet::visit(StateVisitor& v) {
  for (const auto& network : networks())
    network.visit(v);
  v.module("model.log_z.", *log_z_);
  replay_.visit(v);
}

}  // namespace marginalia::gflownet
MARGINALIA_PLUGIN(marginalia::gflownet::GFlowNet);
