#include "sampling.h"

#include <cmath>
#include <limits>

#include <torch/types.h>

#include <marginalia/state_space.h>

namespace marginalia::masked_diffusion {

using namespace marginalia;

Tensor draw_reveal_times(Schedule schedule, std::int64_t rows, std::int64_t dimension,
                         std::int64_t steps, Stream& stream) {
  const auto t = time_of_share(schedule, stream.uniform({rows, dimension}));
  return ((1 - t) * double(steps)).floor().to(torch::kLong).clamp(0, steps - 1);
}

/// x with the variables of `where` drawn independently of each other, given those that are known
/// outside it; adds to `passes` a row for each that has any.
static Tensor redraw(const LogConditionals& conditionals, const Tensor& x, const Tensor& where,
                     Stream& stream, std::int64_t& passes) {
  auto drawn = x.masked_fill(where, kUnknown);
  for (const auto& rows : where.any(1).nonzero().squeeze(1).split(rows_a_pass(x.size(1)))) {
    if (rows.numel() == 0) continue;
    const auto places = where.index({rows}).nonzero();  // [N, 2]
    const auto here = places.select(1, 0), variable = places.select(1, 1);
    const auto p = conditionals(drawn.index({rows})).index({here, variable}).exp();
    const auto value = torch::multinomial(p, 1, false, stream.generator()).squeeze(1);
    drawn.index_put_({rows.index({here}), variable}, value);
    passes += rows.numel();
  }
  return drawn;
}

Tensor draw_subset(const Tensor& among, double share, Stream& stream) {
  const auto count = (among.sum(1) * share).round().clamp_min(1).unsqueeze(1);
  const auto key = stream.uniform(among.sizes()).masked_fill(among.logical_not(), 2);
  return (to_ranks(key.argsort(std::int64_t{1})) < count).logical_and(among);
}

ChainSample sample_corrected(const LogConditionals& conditionals, const Tensor& partial,
                             const Tensor& time, const Corrector& corrector, Stream& stream) {
  const auto B = partial.size(0);
  const auto due = time.masked_fill(partial != kUnknown, -1);
  const auto last = due.numel() ? due.max().item<std::int64_t>() : -1;
  auto x = partial;
  std::int64_t passes = 0;
  for (std::int64_t t = 0; t <= last; ++t) {
    x = redraw(conditionals, x, due == t, stream, passes);
    const auto drawn = (due >= 0).logical_and(due <= t);
    for (std::int64_t round = 0; round < corrector.rounds; ++round)
      x = redraw(conditionals, x, draw_subset(drawn, corrector.share, stream), stream, passes);
  }
  const auto unknown = std::numeric_limits<double>::quiet_NaN();
  return {x, torch::full({B}, unknown, torch::kDouble), B ? double(passes) / double(B) : 0};
}

}  // namespace marginalia::masked_diffusion
