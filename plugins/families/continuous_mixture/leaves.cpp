#include "leaves.h"

#include <cmath>
#include <mutex>
#include <vector>

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "shared/trees/mixture.h"

namespace marginalia::mixture {

using namespace marginalia;
using torch::autograd::AutogradContext, torch::autograd::tensor_list;

namespace {

/// log sum_j exp(features_b . table_j + base_j): [B].  features [B, F], table [N, F], base [N].
/// Nothing larger than [B, N] is made: the responsibilities r_bj, which are the gradient,
///   d/d table_j = sum_b g_b r_bj features_b,   d/d base_j = sum_b g_b r_bj.
struct LogSum : torch::autograd::Function<LogSum> {
  static Tensor forward(AutogradContext* context, const Tensor& features, const Tensor& table,
                        const Tensor& base) {
    const auto scores = at::addmm(base, features, table.t());
    const auto r = scores.softmax(1);
    context->save_for_backward({features, r});
    // log sum exp = the largest score less the log of its share
    return scores.amax(1) - r.amax(1).log();
  }
  static tensor_list backward(AutogradContext* context, const tensor_list& gradient) {
    const auto saved = context->get_saved_variables();
    const auto &features = saved[0], r = saved[1].t();
    return {Tensor(), r.mm(features * gradient[0].unsqueeze(1)), r.mv(gradient[0])};
  }
};

/// log w of N components, 1/N each where none are given.
Tensor log_weights(const Tensor& given, const Tensor& outputs) {
  const auto N = outputs.size(0);
  return given.defined() ? given : torch::full({N}, -std::log(double(N)), outputs.options());
}

/// Log-odds [..., K - 1]  ->  log-probabilities [..., K]; 0 where `impossible`, which no state
/// reads.
Tensor log_probabilities(const Tensor& odds, const Tensor& impossible) {
  if (odds.size(-1) == 1) return torch::cat({at::log_sigmoid(-odds), at::log_sigmoid(odds)}, -1);
  auto logits = at::constant_pad_nd(odds, {1, 0});
  if (!impossible.defined()) return logits.log_softmax(-1);
  const auto mask = impossible.to(odds.device());
  return logits.masked_fill(mask, -INFINITY).log_softmax(-1).masked_fill(mask, 0);
}

/// Log-odds [..., K - 1]  ->  the log-probability of level 0 [...].
Tensor log_first(const Tensor& odds, const Tensor& impossible) {
  if (odds.size(-1) == 1) return at::log_sigmoid(-odds.squeeze(-1));
  return log_probabilities(odds, impossible).select(-1, 0);
}

/// p [..., K]  ->  log p_k / p_0 of the other levels; 0 where p_k is 0.
Tensor log_odds(const Tensor& p) {
  const auto ratio = p.slice(-1, 1) / p.slice(-1, 0, 1);
  return torch::where(ratio > 0, ratio, torch::ones_like(ratio)).log().flatten();
}

class IndependentComponents final : public Components {
 public:
  /// log_p: float64 [N, D, K]; impossible: bool [D, K] or undefined.
  IndependentComponents(const Tensor& log_p, const Tensor& impossible)
      : D_(log_p.size(1)),
        K_(log_p.size(2)),
        log_p_(log_p.flatten(1)),
        p_(log_p_.exp()),
        log_p_32_(log_p_.to(torch::kFloat)),
        p_32_(p_.to(torch::kFloat)),
        impossible_(impossible) {}

  Tensor log_joint(const Evidence& known, at::ScalarType type) const override {
    const auto one_hot = known.partial.unsqueeze(2) == torch::arange(K_);
    const auto& table = type == torch::kFloat ? log_p_32_ : log_p_;
    auto log_p = one_hot.to(table.scalar_type()).flatten(1).mm(table.t());
    for_restricted(known, table.scalar_type(),
                   [&](std::int64_t, const Tensor& mass) { log_p.add_(mass.log()); });
    return log_p;
  }
  Tensor conditionals(const Evidence& known, const Tensor& weight) const override {
    const auto& table = weight.scalar_type() == torch::kFloat ? p_32_ : p_;
    auto p = possible(weight.mm(table).view({-1, D_, K_}));
    for_restricted(known, table.scalar_type(), [&](std::int64_t i, const Tensor& mass) {
      const auto share = (weight / mass).masked_fill_(mass == 0, 0);
      const auto of_sets = share.mm(levels(table, i)) * known.allowed.select(1, i);
      p.select(1, i).copy_(of_sets);
    });
    return p;
  }
  Tensor sample(const Evidence& known, const Tensor& component, Stream& stream) const override {
    const auto& x = known.partial;
    auto p = possible(p_.index({component}).view({-1, D_, K_}));
    if (known.allowed.defined()) p = p * known.allowed;
    const auto below = p.cumsum(2);
    const auto u = stream.uniform(x.sizes()).unsqueeze(2) * below.slice(2, K_ - 1);
    const auto drawn = (below <= u).sum(2);
    return torch::where(x == kUnknown, drawn, x);
  }
  Tensor log_greatest(const Tensor& partial) const override {
    std::call_once(greatest_made_, [&] {
      greatest_ = possible(p_.view({-1, D_, K_})).amax(2).log().t();
    });
    return log_joint(partial, torch::kDouble) +
           (partial == kUnknown).to(torch::kDouble).mm(greatest_);
  }
  Tensor most_probable(const Tensor& partial, const Tensor& component) const override {
    const auto best = possible(p_.index({component}).view({-1, D_, K_})).argmax(2);
    return torch::where(partial == kUnknown, best, partial);
  }

 private:
  Tensor possible(const Tensor& p) const {
    return impossible_.defined() ? p.masked_fill(impossible_, 0) : p;
  }
  /// Columns of variable i: [N, K].
  Tensor levels(const Tensor& table, std::int64_t i) const {
    const auto of_i = table.slice(1, i * K_, (i + 1) * K_);
    return impossible_.defined() ? of_i.masked_fill(impossible_[i], 0) : of_i;
  }
  /// Calls at(i, p(x_i is allowed | z_j) [B, N]) of variables that some row restricts; 1 in rows
  /// that know x_i.
  template <class Function>
  void for_restricted(const Evidence& known, at::ScalarType type, const Function& at) const {
    if (!known.allowed.defined()) return;
    const auto restricted = known.restricted();
    const auto anywhere = restricted.any(0);
    for (std::int64_t i = 0; i < D_; ++i) {
      if (!anywhere[i].item<bool>()) continue;
      const auto& table = type == torch::kFloat ? p_32_ : p_;
      const auto mass = known.allowed.select(1, i).to(type).mm(levels(table, i).t());
      at(i, torch::where(restricted.select(1, i).unsqueeze(1), mass, torch::ones_like(mass)));
    }
  }

  std::int64_t D_, K_;
  Tensor log_p_, p_, log_p_32_, p_32_;  // [N, D K], the last two in float32
  Tensor impossible_;
  mutable std::once_flag greatest_made_;
  mutable Tensor greatest_;  // log max_k p_i(k | z_j): [D, N]
};

class IndependentLeaves final : public Leaves {
 public:
  explicit IndependentLeaves(const StateSpace& space) : D_(space.dimension()), K_(space.levels()) {
    if (space.mixed()) impossible_ = space.possible().logical_not();
  }

  std::int64_t outputs() const override { return D_ * (K_ - 1); }
  Tensor to_outputs(const trees::Tree& tree) const override {
    return log_odds(tree.p.select(1, 0));
  }
  /// log p(x | z) = log p(0 | z) + the log-odds of what is not 0; of rows with gaps the sum over
  /// what is known, of numbers that are K in the place of K - 1.
  Tensor log_likelihood(const Tensor& x, const Tensor& outputs,
                        const Tensor& log_weight) const override {
    if ((x == kUnknown).any().item<bool>()) {
      const auto table = log_probabilities(odds(outputs), impossible_).flatten(1);
      const auto features = (x.unsqueeze(2) == torch::arange(K_, x.options())).flatten(1);
      return LogSum::apply(features.to(outputs.options()), table, log_weights(log_weight, outputs));
    }
    const auto base =
        log_first(odds(outputs), impossible_).sum(1) + log_weights(log_weight, outputs);
    const auto levels = torch::arange(1, K_, x.options());
    const auto features = (x.unsqueeze(2) == levels).flatten(1).to(outputs.options());
    return LogSum::apply(features, outputs, base);
  }
  std::unique_ptr<Components> components(const Tensor& outputs) const override {
    const auto log_p = log_probabilities(odds(outputs.to(torch::kDouble)), impossible_);
    return std::make_unique<IndependentComponents>(log_p, impossible_);
  }

 private:
  Tensor odds(const Tensor& outputs) const { return outputs.view({-1, D_, K_ - 1}); }
  std::int64_t D_, K_;
  Tensor impossible_;  // bool [D, K] where cardinalities differ, else undefined
};

/// Where p(x_i | x_parent) of full states stands among [D, K, K]; roots: at parent value 0.
/// x: int64 [B, D]  ->  int64 [B, D].
Tensor find_cells(const Tensor& x, const Tensor& parent, std::int64_t K) {
  const auto above = torch::where(parent < 0, torch::zeros({}, x.options()),
                                  x.index_select(1, parent.clamp_min(0)));
  return (torch::arange(x.size(1), x.options()) * K + above) * K + x;
}

class TreeComponents final : public Components {
 public:
  /// log_p: float64 [N, D, K, K]; impossible: bool [D, 1, K] or undefined.
  TreeComponents(const trees::Tree& shared, const Tensor& log_p, const Tensor& impossible)
      : parent_(shared.parent), K_(log_p.size(3)), log_p_(log_p.flatten(1)) {
    const auto p = impossible.defined() ? log_p.exp().masked_fill_(impossible, 0) : log_p.exp();
    for (const auto& of_component : p.unbind(0))
      trees_.push_back({shared.parent, shared.order, of_component});
  }

  Tensor log_joint(const Evidence& known, at::ScalarType) const override {
    const auto& x = known.partial;
    if ((x == kUnknown).any().item<bool>()) return trees::log_marginals(trees_, known);
    auto one_hot = torch::zeros({x.size(0), log_p_.size(1)}, torch::kDouble);
    return one_hot.scatter_(1, find_cells(x, parent_, K_), 1).mm(log_p_.t());
  }
  Tensor conditionals(const Evidence& known, const Tensor& weight) const override {
    return trees::mean_conditionals(trees_, known, weight.to(torch::kDouble));
  }
  Tensor sample(const Evidence& known, const Tensor& component, Stream& stream) const override {
    return trees::sample(trees_, known, component, stream);
  }
  Tensor log_greatest(const Tensor& partial) const override {
    return trees::log_greatest(trees_, partial);
  }
  Tensor most_probable(const Tensor& partial, const Tensor& component) const override {
    return trees::most_probable(trees_, partial, component);
  }

 private:
  Tensor parent_;
  std::int64_t K_;
  Tensor log_p_;
  std::vector<trees::Tree> trees_;
};

class TreeLeaves final : public Leaves {
 public:
  TreeLeaves(const StateSpace& space, const trees::Tree& tree)
      : D_(space.dimension()), K_(space.levels()), tree_(tree) {
    if (space.mixed()) impossible_ = space.possible().logical_not().unsqueeze(1);
  }

  std::int64_t outputs() const override { return D_ * K_ * (K_ - 1); }
  Tensor to_outputs(const trees::Tree& tree) const override { return log_odds(tree.p); }
  Tensor log_likelihood(const Tensor& x, const Tensor& outputs,
                        const Tensor& log_weight) const override {
    const auto table = log_p(outputs).flatten(1);
    const auto cells = find_cells(x, tree_.parent.to(x.device()), K_);
    auto features = torch::zeros({x.size(0), table.size(1)}, outputs.options());
    features.scatter_(1, cells, 1);
    return LogSum::apply(features, table, log_weights(log_weight, outputs));
  }
  std::unique_ptr<Components> components(const Tensor& outputs) const override {
    return std::make_unique<TreeComponents>(tree_, log_p(outputs.to(torch::kDouble)), impossible_);
  }
  void visit(StateVisitor& v) override {
    v("model.parent", tree_.parent);
    v("model.order", tree_.order);
  }

 private:
  Tensor log_p(const Tensor& outputs) const {
    return log_probabilities(outputs.view({-1, D_, K_, K_ - 1}), impossible_);
  }
  std::int64_t D_, K_;
  trees::Tree tree_;
  Tensor impossible_;  // bool [D, 1, K] where cardinalities differ, else undefined
};

}  // namespace

std::unique_ptr<Leaves> independent_leaves(const StateSpace& space) {
  return std::make_unique<IndependentLeaves>(space);
}

std::unique_ptr<Leaves> tree_leaves(const StateSpace& space, const trees::Tree& tree) {
  return std::make_unique<TreeLeaves>(space, tree);
}

}  // namespace marginalia::mixture
