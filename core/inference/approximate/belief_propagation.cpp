#include <cmath>
#include <map>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/belief_propagation.h>
#include <marginalia/inference/prior.h>

namespace marginalia {
namespace {

constexpr double kMinMessage = 1e-30;  // stands for a message of 0, so that it can be divided by

/// Factors whose tables have one shape.
struct Group {
  std::vector<std::int64_t> sizes;                // K of each slot
  std::vector<std::vector<std::int64_t>> scopes;  // of each factor
  std::vector<Tensor> tables;
  // for each slot, over the F factors:
  std::vector<Tensor> variable;  // int64 [F]
  std::vector<Tensor> edge;      // int64 [F]: the number of its message
  std::vector<Tensor> matrix;    // float32 [F, K_slot, K of the others]
};

/// Messages are probabilities [E, K, B], one a slot of a factor, padded by 0 up to K levels.
class LoopyBeliefPropagation final : public PriorSource {
 public:
  LoopyBeliefPropagation(const FactorModel& model, const StateSpace& space,
                         const BeliefPropagation& settings)
      : settings_(settings), space_(space), possible_(space.possible().to(torch::kFloat)) {
    std::map<std::vector<std::int64_t>, Group> groups;
    for (const auto& factor : model.factors)
      if (factor.scope.empty())
        constant_ += factor.log_values[0];
      else
        add(factor, model, groups);
    std::vector<std::int64_t> variable_of_edge;
    for (auto& [sizes, group] : groups)
      groups_.push_back(prepared(std::move(group), variable_of_edge));
    variable_ = torch::tensor(variable_of_edge, torch::kLong);
  }

  Prior of(const Tensor& partial, HeadSet) const override {
    torch::NoGradGuard no_grad;
    const auto x = partial.cpu().t().contiguous();  // [D, B]
    const auto known = x != kUnknown;
    const auto D = x.size(0), B = x.size(1), K = space_.levels(), E = variable_.size(0);
    // what evidence leaves possible: [D, K, B]
    auto allowed = possible_.unsqueeze(2).expand({D, K, B}).clone();
    const auto is_value = torch::arange(K).view({1, K, 1}) == x.unsqueeze(1);
    allowed = torch::where(known.unsqueeze(1), is_value.to(torch::kFloat), allowed);
    const auto edge_allowed = allowed.index_select(0, variable_);
    auto to_variable =
        normalised(possible_.index_select(0, variable_).unsqueeze(2).expand({E, K, B}));
    Tensor to_factor, belief;
    for (std::int64_t round = 0;; ++round) {
      const auto logs = to_variable.clamp_min(kMinMessage).log();
      belief = torch::zeros({D, K, B}).index_add_(0, variable_, logs);
      to_factor = normalised(from_logs(belief.index_select(0, variable_) - logs, edge_allowed));
      if (round == settings_.rounds) break;
      const auto next = from_factors(to_factor, B, K).lerp(to_variable, settings_.damping);
      const auto moved = (next - to_variable).abs().max().item<double>();
      to_variable = next;
      if (moved < settings_.tolerance) round = settings_.rounds - 1;
    }
    const auto log_marginal = bethe(to_factor, to_variable, belief, allowed);
    const auto shape = allowed.gt(0);
    const auto logits = torch::where(shape, belief, belief.new_full({}, -INFINITY));
    return {logits.permute({2, 0, 1}).contiguous().to(partial.device()),
            log_marginal.to(torch::kFloat).to(partial.device()),
            known.t().logical_not().to(torch::kFloat).to(partial.device())};
  }
  std::int64_t reach() const override { return settings_.rounds; }

 private:
  static void add(const Factor& factor, const FactorModel& model,
                  std::map<std::vector<std::int64_t>, Group>& groups) {
    std::vector<std::int64_t> sizes;
    for (const auto i : factor.scope)
      sizes.push_back(model.cardinalities[std::size_t(i)]);
    auto& group = groups[sizes];
    group.sizes = sizes;
    group.scopes.push_back(factor.scope);
    group.tables.push_back(torch::tensor(factor.log_values, torch::kDouble));
  }

  Group prepared(Group group, std::vector<std::int64_t>& variable_of_edge) {
    const auto F = std::int64_t(group.scopes.size()), n = std::int64_t(group.sizes.size());
    auto log_values = torch::stack(group.tables);  // [F, entries]
    const auto highest = log_values.amax(1, true);
    constant_ += highest.sum().item<double>();
    std::vector<std::int64_t> shape{F};
    shape.insert(shape.end(), group.sizes.begin(), group.sizes.end());
    const auto tables = (log_values - highest).exp().to(torch::kFloat).view(shape);
    for (std::int64_t slot = 0; slot < n; ++slot) {
      std::vector<std::int64_t> variables, edges;
      for (const auto& scope : group.scopes) {
        variables.push_back(scope[std::size_t(slot)]);
        edges.push_back(std::int64_t(variable_of_edge.size()));
        variable_of_edge.push_back(scope[std::size_t(slot)]);
      }
      group.variable.push_back(torch::tensor(variables, torch::kLong));
      group.edge.push_back(torch::tensor(edges, torch::kLong));
      group.matrix.push_back(
          tables.movedim(slot + 1, 1).reshape({F, group.sizes[std::size_t(slot)], -1}));
    }
    group.tables.clear();
    return group;
  }

  /// Sums to 1 over the levels. x: [E, K, B]
  static Tensor normalised(const Tensor& x) { return x / x.sum(1, true).clamp_min(kMinMessage); }

  static Tensor from_logs(const Tensor& logs, const Tensor& allowed) {
    const auto seen = torch::where(allowed > 0, logs, logs.new_full({}, -1e30));
    return (seen - seen.amax(1, true)).exp() * allowed;
  }

  /// The messages of the other slots of each factor, multiplied out: [F, K of the others, B].
  static Tensor others(const Group& group, std::size_t slot, const Tensor& to_factor) {
    const auto F = std::int64_t(group.scopes.size()), B = to_factor.size(2);
    auto product = torch::ones({F, 1, B});
    for (std::size_t t = 0; t < group.sizes.size(); ++t) {
      if (t == slot) continue;
      const auto m = to_factor.index_select(0, group.edge[t]).slice(1, 0, group.sizes[t]);
      product = (product.unsqueeze(2) * m.unsqueeze(1)).reshape({F, -1, B});
    }
    return product;
  }

  /// m_{a -> i}(x_i) = sum over the others of phi_a prod m_{j -> a}, normalised.
  Tensor from_factors(const Tensor& to_factor, std::int64_t B, std::int64_t K) const {
    auto messages = torch::zeros({variable_.size(0), K, B});
    for (const auto& group : groups_)
      for (std::size_t slot = 0; slot < group.sizes.size(); ++slot) {
        auto out = torch::zeros({group.edge[slot].size(0), K, B});
        out.slice(1, 0, group.sizes[slot])
            .copy_(torch::bmm(group.matrix[slot], others(group, slot, to_factor)));
        messages.index_copy_(0, group.edge[slot], normalised(out));
      }
    return messages;
  }

  /// sum_a log Z_a + sum_i log Z_i - sum_{ia} log Z_ia
  Tensor bethe(const Tensor& to_factor, const Tensor& to_variable, const Tensor& belief,
               const Tensor& allowed) const {
    const auto safe_log = [](const Tensor& z) {
      return z.clamp_min(kMinMessage).log().to(torch::kDouble);
    };
    const auto seen = torch::where(allowed > 0, belief, belief.new_full({}, -INFINITY));
    auto total = seen.logsumexp(1).to(torch::kDouble).sum(0);
    total = total - safe_log((to_factor * to_variable).sum(1)).sum(0);
    for (const auto& group : groups_) {
      const auto out = torch::bmm(group.matrix[0], others(group, 0, to_factor));
      const auto own = to_factor.index_select(0, group.edge[0]).slice(1, 0, group.sizes[0]);
      total = total + safe_log((out * own).sum(1)).sum(0);
    }
    return total + constant_;
  }

  BeliefPropagation settings_;
  StateSpace space_;
  Tensor possible_, variable_;  // [D, K]; [E]
  std::vector<Group> groups_;
  double constant_ = 0;
};

}  // namespace

std::unique_ptr<PriorSource> loopy_belief_propagation(const Energy& energy,
                                                      const BeliefPropagation& settings) {
  const auto factors = energy.factors();
  if (!factors)
    throw SpecError(fmt::format("belief propagation needs factors, but of {}: {}", energy.label(),
                                factors.reason));
  return std::make_unique<LoopyBeliefPropagation>(*factors, energy.space(), settings);
}

}  // namespace marginalia
