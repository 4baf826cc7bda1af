#include "objectives.h"

#include <torch/types.h>

#include <marginalia/any_order.h>
#include <marginalia/masking.h>

namespace mam {

using namespace marginalia;

Links draw_links(const Tensor& x, Stream& stream) {
  const auto B = x.size(0), D = x.size(1);
  const auto orders = stream.permutations(B, D);
  const auto rank = ranks_of(orders);
  const auto t = stratified_sizes(B, D, stream).unsqueeze(1);  // [B, 1]
  const auto variable = orders.gather(1, t);
  return {x.masked_fill(rank >= t, kUnknown), x.masked_fill(rank > t, kUnknown),
          variable.squeeze(1), x.gather(1, variable).squeeze(1)};
}

Tensor at_link(const Tensor& log_p, const Links& links) {
  const auto K = log_p.size(2);
  const auto row = links.variable.to(log_p.device()).view({-1, 1, 1}).expand({-1, 1, K});
  const auto value = links.value.to(log_p.device()).unsqueeze(1);
  return log_p.gather(1, row).squeeze(1).gather(1, value).squeeze(1);
}

Tensor label_divergence(const Tensor& labels, const Tensor& log_p, const Tensor& unknown) {
  const auto divergence = (torch::xlogy(labels, labels) - labels * log_p).sum(2);  // [B, D]
  const auto sum = divergence.masked_fill(unknown.logical_not(), 0).sum(1);
  return sum / unknown.sum(1).clamp_min(1);
}

Tensor reinforce(const Tensor& log_p, const Tensor& log_density) {
  const auto B = double(log_p.size(0));
  const auto cost = log_p.detach() - log_density;
  const auto others = (cost.sum() - cost) / (B - 1);
  return (log_p * (cost - others)).mean();
}

}  // namespace mam
