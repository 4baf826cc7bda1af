#include "energy_model.h"

#include <algorithm>

#include <torch/types.h>

namespace marginalia::gflownet {

using namespace marginalia;

Tensor EnergyModel::contrast(const Tensor& x, const Policy& policy, Step& step) const {
  const auto B = x.size(0), D = x.size(1);
  const auto K = params_.steps == 0 ? D : std::min(params_.steps, D);
  auto& stream = step.own_stream("family/proposals");
  Paths from, to;
  Tensor gain;
  {
    torch::NoGradGuard no_grad;
    from = policy.back_from(x, stream);
    const auto start = x.masked_fill(to_ranks(from.orders) >= D - K, kUnknown);
    const auto walk = policy.complete(start, {}, stream);
    to = walk.paths;
    const auto sum_links = [&](const Paths& paths) {
      return policy.links_of_uniform(paths, D - K).sum(1, false, torch::kDouble);
    };
    gain = sum_links(from) - sum_links(to);
    step.count_passes(B * (walk.passes + 2 * K * policy.networks() + 2));
  }
  const auto log_f = log_density(torch::cat({x, to.states}));
  const auto of_x = log_f.slice(0, 0, B), of_y = log_f.slice(0, B);
  const auto u = stream.uniform({B}).to(network_.device());
  const auto accepted = u.log() < (of_y - of_x).detach() + gain;
  step.record("train/accepted", accepted.to(torch::kFloat).mean().item<double>());
  return torch::where(accepted, of_y - of_x, torch::zeros_like(of_x)).mean();
}

}  // namespace marginalia::gflownet
