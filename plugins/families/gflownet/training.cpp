#include <algorithm>

#include <marginalia/error.h>

#include "balance.h"
#include "gflownet.h"
#include "shared/families/over_ranks.h"

namespace marginalia::gflownet {

void GFlowNet::step(Step& step) {
  if (model_)
    from_data(step);
  else
    from_energy(step);
}

/// Trajectories of the exploring policy, of this process alone.
Paths GFlowNet::sampled(Step& step, std::int64_t rows) const {
  const auto empty = space_.empty().expand({rows, -1}).contiguous();
  const auto walk = policy_.complete(empty, params_.exploration, step.own_stream("family/samples"));
  step.count_passes(rows * walk.passes);
  return walk.paths;
}

static Paths joined(const Paths& a, const Paths& b) {
  return {torch::cat({a.states, b.states}), torch::cat({a.orders, b.orders})};
}

void GFlowNet::from_energy(Step& step) {
  const auto B = step.batch_size(), again = replay_.count_replayed(B);
  auto paths = sampled(step, step.share_of(B - again));
  auto log_f = step.energy().log_density(paths.states);
  const auto b = step.energy().inverse_temperature();
  const auto seen = std::pair{paths.states, log_f / b};
  if (again > 0) {
    const auto [states, log_density] = replay_.draw(again, step.stream("family/replay"));
    const auto own = step.share(states);
    paths = joined(paths, policy_.back_from(own, step.own_stream("family/orders")));
    log_f = torch::cat({log_f, b * step.share(log_density)});
  }
  if (replay_.keeps()) replay_.add(step.gather(seen.first), step.gather(seen.second));
  step.minimise(policy_loss(step, paths, log_f));
}

static void check_finite(const Tensor& log_density) {
  if (torch::isinf(log_density).any().item<bool>())
    throw Error(
        "a gflownet met a state that the energy forbids (log f = -inf), where no flow balances; "
        "give the energy a finite penalty");
}

/// The loss of balance.h on these trajectories.  log_density: [B]  ->  a scalar.
Tensor GFlowNet::policy_loss(Step& step, const Paths& paths, const Tensor& log_density) {
  check_finite(log_density);
  const auto B = paths.states.size(0), D = space_.dimension();
  const auto log_f = log_density.to(device_, torch::kDouble);
  const auto states = states_along(paths, 0, D - 1).to(device_);
  const bool shared = marginal_ && marginal_->shares(conditional_);
  const auto heads = conditional_.evaluate(states, kLogits | (shared ? kLogMarginal : 0u));
  step.count_passes(B * D * (policy_.networks() + (marginal_ && !shared ? 1 : 0)));
  const auto links = policy_.links(paths, 0, heads.logits).to(torch::kDouble);
  if (by_variance()) {
    const auto mean = mean_of_all(step, log_f - links.sum(1));
    follow(mean, step.index());
    step.record("train/log_z", log_z_->value.item<double>());
    return log_variance(log_f - links.sum(1), mean, step.batch_size());
  }
  step.record("train/log_z", log_z_->value.item<double>());
  const auto z = log_z_->value.to(torch::kDouble).expand({B, 1});
  auto between = z.expand({B, D - 1});
  if (marginal_) {
    const auto h = shared ? heads.log_marginal : marginal_->log_marginal(states);
    const auto along = h.view({B, D});  // each row begins with the empty state
    between = z + along.slice(1, 1) - along.slice(1, 0, 1);
  }
  const auto log_flow = torch::cat({z, between, log_f.unsqueeze(1)}, 1);
  return balance(potentials(log_flow, links), weights_);
}

/// The variance knows no log Z: it is the moving mean of c_D over the batches.
void GFlowNet::follow(const Tensor& mean, std::int64_t step) {
  torch::NoGradGuard no_grad;
  log_z_->value.lerp_(mean.view({1}).to(log_z_->value.options()),
                      std::max(0.02, 1 / double(step + 1)));
}

void GFlowNet::from_data(Step& step) {
  const auto x = step.share(step.batch());
  const auto contrast = model_->contrast(x, policy_, step);
  const auto of_data = std::int64_t(params_.model.data_share * double(x.size(0)));
  auto paths = sampled(step, x.size(0) - of_data);
  if (of_data > 0)
    paths =
        joined(paths, policy_.back_from(x.slice(0, 0, of_data), step.own_stream("family/orders")));
  const auto loss = policy_loss(step, paths, log_density(paths.states));
  step.count_passes(x.size(0));
  step.record("train/balance", loss.item<double>());
  step.minimise(loss + contrast);
}

}  // namespace marginalia::gflownet
