#include "objectives.h"

#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/any_order.h>
#include <marginalia/masking.h>

namespace mam {

using namespace marginalia;

static Links links_along(const Tensor& x, const Tensor& orders, const Tensor& t) {
  const auto rank = ranks_of(orders), time = t.unsqueeze(1);  // [B, D], [B, 1]
  const auto variable = orders.gather(1, time);
  return {x.masked_fill(rank >= time, kUnknown), x.masked_fill(rank > time, kUnknown),
          variable.squeeze(1), x.gather(1, variable).squeeze(1)};
}

Links draw_links(const Tensor& x, Stream& stream) {
  const auto B = x.size(0), D = x.size(1);
  const auto orders = stream.permutations(B, D);
  return links_along(x, orders, stratified_sizes(B, D, stream));
}

Links links_at(const Tensor& x, const Tensor& t, Stream& stream) {
  return links_along(x, stream.permutations(x.size(0), x.size(1)), t);
}

Tensor truncated_poisson(std::int64_t rows, std::int64_t dimension, Stream& stream) {
  const auto k = torch::arange(1, dimension + 1, torch::kDouble);
  const auto log_p = k * std::log(std::max(std::log(double(dimension)), 1e-3)) - (k + 1).lgamma();
  return torch::multinomial(log_p.softmax(0), rows, true, stream.generator()) + 1;
}

Tensor at_link(const Tensor& log_p, const Links& links) {
  const auto K = log_p.size(2);
  const auto row = links.variable.to(log_p.device()).view({-1, 1, 1}).expand({-1, 1, K});
  const auto value = links.value.to(log_p.device()).unsqueeze(1);
  return log_p.gather(1, row).squeeze(1).gather(1, value).squeeze(1);
}

/// Cuts 0 = c_0 < c_1 < ... < c_m = D of each row: int64 [B, m + 1].
static Tensor draw_cuts(std::int64_t rows, std::int64_t dimension, std::int64_t m, Stream& stream) {
  const auto place = torch::arange(m) - stream.uniform({rows, 1});  // in (-1, m - 1), by row
  // D - m spare variables are spread at random; each block has one at least.
  const auto spare =
      (place.clamp_min(0) / double(std::max<std::int64_t>(m - 1, 1)) * double(dimension - m + 1))
          .floor()
          .to(torch::kLong)
          .clamp(0, dimension - m);
  const auto inner = spare + torch::arange(m);  // [B, m], strictly rising from 0
  return torch::cat({inner, torch::full({rows, 1}, dimension, torch::kLong)}, 1);
}

Paths draw_paths(const Tensor& x, std::int64_t blocks, const LogConditionals& log_p,
                 Stream& stream) {
  const auto B = x.size(0), D = x.size(1), m = std::min(blocks, D);
  const auto rank = ranks_of(stream.permutations(B, D));
  const auto cuts = draw_cuts(B, D, m, stream);
  const auto share = stream.uniform({B, m});
  auto sum = torch::zeros({B});
  std::vector<Tensor> states, sums;
  for (std::int64_t j = 0; j < m; ++j) {
    const auto begin = cuts.slice(1, j, j + 1), end = cuts.slice(1, j + 1, j + 2);  // [B, 1]
    const auto size = end - begin;
    const auto u = begin + (share.slice(1, j, j + 1) * size).to(torch::kLong).minimum(size - 1);
    const auto log_q = log_p(x.masked_fill(rank >= u, kUnknown)).to(torch::kCPU, torch::kFloat);
    const auto of_x = log_q.gather(2, x.unsqueeze(2)).squeeze(2);  // [B, D]
    const auto next = (rank >= u).logical_and(rank < end);
    const auto mean = torch::where(next, of_x, torch::zeros_like(of_x)).sum(1) / next.sum(1);
    sum = sum + size.squeeze(1) * mean;
    states.push_back(x.masked_fill(rank >= end, kUnknown));
    sums.push_back(sum);
  }
  return {torch::cat(states), torch::cat(sums), m * B};
}

Tensor label_divergence(const Tensor& labels, const Tensor& log_p, const Tensor& unknown) {
  const auto divergence = (torch::xlogy(labels, labels) - labels * log_p).sum(2);  // [B, D]
  const auto sum = divergence.masked_fill(unknown.logical_not(), 0).sum(1);
  return sum / unknown.sum(1).clamp_min(1);
}

}  // namespace mam
