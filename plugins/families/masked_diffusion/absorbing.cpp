#include "absorbing.h"

#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/masking.h>

namespace marginalia::masked_diffusion {

using namespace marginalia;

Schedule schedule_named(const std::string& name) {
  if (name == "linear") return Schedule::kLinear;
  if (name == "quadratic") return Schedule::kQuadratic;
  if (name == "cosine") return Schedule::kCosine;
  throw SpecError("no schedule is called \"" + name + "\"");
}

Tensor hidden_share(Schedule schedule, const Tensor& t) {
  if (schedule == Schedule::kLinear) return t;
  return schedule == Schedule::kQuadratic ? t.square() : (t * M_PI_2).sin();
}

Tensor time_of_share(Schedule schedule, const Tensor& v) {
  if (schedule == Schedule::kLinear) return v;
  return schedule == Schedule::kQuadratic ? v.sqrt() : v.asin() / M_PI_2;
}

Tensor loss_weight(Schedule schedule, const Tensor& t) {
  if (schedule == Schedule::kLinear) return 1 / t;
  return schedule == Schedule::kQuadratic ? 2 / t : M_PI_2 / (t * M_PI_2).tan();
}

/// (b + s) / rows at s in 0..1, never 0: each of `rows` equal parts of 0..1 has one.
static Tensor spread(const Tensor& share, std::int64_t rows) {
  return (torch::arange(rows) + (1 - share)) / double(rows);
}

Hidden hide_by_time(const Tensor& x, Schedule schedule, double least, Stream& stream) {
  const auto t = least + (1 - least) * spread(stream.uniform({1}), x.size(0));
  const auto hit = stream.uniform(x.sizes()) < hidden_share(schedule, t).unsqueeze(1);
  const auto unknown = hit.logical_and(x != kUnknown);
  return {x.masked_fill(unknown, kUnknown), unknown, (1 - least) * loss_weight(schedule, t)};
}

Hidden hide_by_size(const Tensor& x, Stream& stream) {
  const auto masked = mask_uniformly(x, stream);
  const auto known = (x != kUnknown).sum(1).to(torch::kFloat);
  return {masked.partial, masked.unknown, known / masked.unknown.sum(1).clamp_min(1)};
}

Tensor bound(const Tensor& log_p, const Tensor& x, const Hidden& hidden) {
  const auto count = hidden.unknown.sum(1);
  return (hidden.weight * count).to(log_p.device()) *
         masked_cross_entropy(log_p, x.to(log_p.device()), hidden.unknown.to(log_p.device()));
}

ChainScore score_by_time(const LogConditionals& conditionals, const Tensor& partial,
                         const Tensor& given, std::int64_t count, Stream& stream) {
  const auto B = partial.size(0), chunk = rows_a_pass(partial.size(1));
  auto scored = partial != kUnknown;
  if (given.defined()) scored = scored.logical_and(given == kUnknown);
  auto total = torch::zeros({B}, torch::kDouble);
  std::int64_t passes = 0;
  const auto share = stream.uniform({B});  // each row's times divide 0..1 evenly
  for (std::int64_t m = 0; m < count; ++m) {
    const auto t = (double(m) + 1 - share) / double(count);
    const auto hit =
        stream.uniform(partial.sizes()) < hidden_share(Schedule::kQuadratic, t).unsqueeze(1);
    const auto hidden = hit.logical_and(scored);
    const auto weight = loss_weight(Schedule::kQuadratic, t).to(torch::kDouble);
    for (const auto& rows : hidden.any(1).nonzero().squeeze(1).split(chunk)) {
      if (rows.numel() == 0) continue;
      const auto x = partial.index({rows}), unknown = hidden.index({rows});
      const auto log_p = conditionals(x.masked_fill(unknown, kUnknown)).to(torch::kDouble);
      const auto of_x = log_p.gather(2, x.clamp_min(0).unsqueeze(2)).squeeze(2);  // [C, D]
      const auto sum = torch::where(unknown, of_x, torch::zeros_like(of_x)).sum(1);
      total.index_add_(0, rows, weight.index({rows}) * sum);
      passes += rows.numel();
    }
  }
  return {total / double(count), B ? double(passes) / double(B) : 0};
}

}  // namespace marginalia::masked_diffusion
