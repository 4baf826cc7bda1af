#include "links.h"

#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>

namespace marginalia::mam {

using namespace marginalia;

static Links links_along(const Tensor& x, const Tensor& orders, const Tensor& t) {
  const auto rank = to_ranks(orders), time = t.unsqueeze(1);  // [B, D], [B, 1]
  const auto variable = orders.gather(1, time);
  return {x.masked_fill(rank >= time, kUnknown), x.masked_fill(rank > time, kUnknown),
          variable.squeeze(1), x.gather(1, variable).squeeze(1)};
}

Links draw_links(const Tensor& x, double power, Stream& stream) {
  const auto B = x.size(0), D = x.size(1);
  const auto orders = stream.permutations(B, D);
  const auto u = (torch::arange(B) + stream.uniform({B})) / double(B);
  return links_along(x, orders, (u.pow(power) * double(D)).to(torch::kLong).clamp(0, D - 1));
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

/// The chain of whole orders: every variable is a block.
static Paths draw_whole_paths(const Tensor& all, const LogConditionals& log_p, Stream& stream,
                              const Share& share) {
  const auto x = share(all), orders = share(stream.permutations(all.size(0), all.size(1)));
  const auto B = x.size(0), D = x.size(1);
  const auto rank = to_ranks(orders).unsqueeze(0);  // [1, B, D]
  const auto many = std::max<std::int64_t>(1, rows_a_pass(D) / B);
  std::vector<Tensor> states, gains;
  for (const auto& time : torch::arange(D).split(many)) {
    const auto t = time.view({-1, 1, 1});
    const auto before = x.unsqueeze(0).masked_fill(rank >= t, kUnknown).flatten(0, 1);
    const auto variable = orders.index_select(1, time).t().flatten();  // [T B]
    const auto value = x.repeat({time.size(0), 1}).gather(1, variable.unsqueeze(1));
    const auto log_q = log_p.at(before, variable).to(torch::kCPU, torch::kDouble);
    gains.push_back(log_q.gather(1, value).view({-1, B}));
    states.push_back(x.unsqueeze(0).masked_fill(rank > t, kUnknown).flatten(0, 1));
  }
  return {torch::cat(states), torch::cat(gains).cumsum(0).flatten(), D * B};
}

Paths draw_paths(const Tensor& all, const PathTargets& targets, const LogConditionals& log_p,
                 Stream& stream, const Share& share) {
  const auto rows = all.size(0), D = all.size(1), m = std::min(targets.blocks, D);
  if (m == D) return draw_whole_paths(all, log_p, stream, share);
  const auto points = targets.points;
  const auto rank = to_ranks(share(stream.permutations(rows, D)));
  const auto cuts = share(draw_cuts(rows, D, m, stream)), x = share(all);
  const auto B = x.size(0);
  // log p(x_i | s_t), where s_t knows the first t [B, 1] variables: [B, D]
  const auto of_x = [&](const Tensor& t) {
    const auto log_q = log_p(x.masked_fill(rank >= t, kUnknown)).to(torch::kCPU, torch::kDouble);
    return log_q.gather(2, x.unsqueeze(2)).squeeze(2);
  };
  const auto over = [](const Tensor& which, const Tensor& values) {
    return torch::where(which, values, torch::zeros_like(values)).sum(1);
  };
  auto sum = torch::zeros({B}, torch::kDouble);
  std::vector<Tensor> states, sums;
  for (std::int64_t j = 0; j < m; ++j) {
    const auto begin = cuts.slice(1, j, j + 1), end = cuts.slice(1, j + 1, j + 2);  // [B, 1]
    const auto size = end - begin;
    const auto at_begin = of_x(begin);
    sum = sum + over((rank >= begin).logical_and(rank < end), at_begin);
    for (std::int64_t k = 0; k < points; ++k) {
      const auto place = (share(stream.uniform({rows, 1})) + double(k)) / double(points);
      const auto u = begin + (place * size).to(torch::kLong).minimum(size - 1);
      const auto next = (rank >= u).logical_and(rank < end);
      const auto gain = over(next, of_x(u) - at_begin) / next.sum(1);
      sum = sum + size.squeeze(1) * gain / double(points);
    }
    states.push_back(x.masked_fill(rank >= end, kUnknown));
    sums.push_back(sum);
  }
  return {torch::cat(states), torch::cat(sums), (1 + points) * m * B};
}

Tensor exponential_loss(const Tensor& d) {
  constexpr double kSteep = 3;
  const auto within = d.clamp_max(kSteep).exp();
  return within + (d - kSteep).clamp_min(0) * std::exp(kSteep) - d - 1;
}

Tensor label_divergence(const Tensor& labels, const Tensor& log_p, const Tensor& unknown) {
  // An impossible value has p = 0 in both: 0 log 0 is 0 here, and so is its gradient.
  const auto log_q = log_p.masked_fill(labels == 0, 0);
  const auto divergence = (torch::xlogy(labels, labels) - labels * log_q).sum(2);  // [B, D]
  const auto sum = divergence.masked_fill(unknown.logical_not(), 0).sum(1);
  return sum / unknown.sum(1).clamp_min(1);
}

}  // namespace marginalia::mam
