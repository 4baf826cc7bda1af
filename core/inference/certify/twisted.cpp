#include "twisted.h"

#include <cmath>

#include <torch/types.h>

namespace marginalia {
namespace {

/// The particles of `count` replicates, N of each: rows [count N, D], weights [count, N].
struct Particles {
  Tensor states, log_twist, log_weight;
};

/// Resamples the particles of a replicate by their weights where the effective number of particles
/// is below half; the first particle stays itself where it is pinned.  -> what the mean weight of
/// each replicate was: float64 [count].
Tensor resample(Particles& all, bool pinned, Stream& stream) {
  const auto R = all.log_weight.size(0), N = all.log_weight.size(1);
  auto gained = torch::zeros({R}, torch::kDouble);
  const auto total = all.log_weight.logsumexp(1);
  const auto effective = (2 * total - (2 * all.log_weight).logsumexp(1)).exp();
  const auto rows = (effective < 0.5 * double(N)).nonzero().squeeze(1);  // NaN: all weights are 0
  if (rows.numel() == 0) return gained;
  gained.index_put_({rows}, total.index({rows}) - std::log(double(N)));
  auto chosen =
      torch::multinomial(all.log_weight.index({rows}).softmax(1), N, true, stream.generator());
  if (pinned) chosen.select(1, 0).zero_();
  auto from = torch::arange(R * N).view({R, N});
  from.index_put_({rows}, chosen + rows.unsqueeze(1) * N);
  all.states = all.states.index_select(0, from.flatten());
  all.log_twist = all.log_twist.index_select(0, from.flatten());
  all.log_weight.index_fill_(0, rows, 0);
  return gained;
}

}  // namespace

TwistedChains::Estimates TwistedChains::draw(const Tensor& state, const Tensor& time,
                                             std::int64_t count, const Tensor& pinned,
                                             Stream& stream) const {
  const auto N = particles;
  const auto first = torch::arange(count) * N;  // the pinned ones
  const auto start = log_twist(state.unsqueeze(0));
  Particles all{state.unsqueeze(0).repeat({count * N, 1}), start.expand({count * N}).clone(),
                torch::zeros({count, N}, torch::kDouble)};
  Estimates result{start.expand({count}).clone(), 1 / double(count)};
  const auto last = time.max().item<std::int64_t>();
  for (std::int64_t t = 0; t <= last; ++t) {
    const auto now = torch::where(time == t, torch::zeros_like(time), torch::full_like(time, -1));
    auto drawn = proposal.draw(all.states, now, stream);
    if (pinned.defined()) {
      const auto before = all.states.index_select(0, first);
      const auto after = torch::where(time == t, pinned, before);
      drawn.states.index_put_({first}, after);
      drawn.log_prob.index_put_({first}, proposal.score(after, before, now).log_prob);
    }
    const auto twist = t == last ? log_sum(drawn.states) : log_twist(drawn.states);
    all.log_weight = all.log_weight + (twist - all.log_twist - drawn.log_prob).view({count, N});
    all.states = drawn.states;
    all.log_twist = twist;
    result.passes += double(N) * (t == last ? 1 : 2);
    if (t < last) result.log_estimate += resample(all, pinned.defined(), stream);
  }
  result.log_estimate += all.log_weight.logsumexp(1) - std::log(double(N));
  return result;
}

}  // namespace marginalia
