#include "certify_sampling.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>

namespace marginalia::certify {
namespace {

constexpr std::int64_t kFirstBatch = 32, kMinBatch = 8, kMaxBatch = 256;
constexpr double kTwistVariance = 2;  // of log weights, above which particles pay
/// Why there is no upper side where f is the model's own joint.
constexpr const char* kNoPosterior =
    "no samples of the model's own posterior: the evidence does not begin its forward order";

void add_all(BettingBound& bound, const Tensor& log_x) {
  const auto values = log_x.to(torch::kDouble).contiguous();
  for (std::int64_t n = 0; n < values.numel(); ++n)
    bound.add(values.data_ptr<double>()[n]);
}

Tensor copies(const Tensor& state, std::int64_t count) {
  return state.unsqueeze(0).repeat({count, 1});
}

}  // namespace

Sampling::Sampling(const Means& means, const SampledSum& sum, const Budget& budget, Stream& stream)
    : means_(means),
      sum_(sum),
      budget_(budget),
      stream_(stream),
      chains_{means.proposal, means.twist, sum.log_sum, means.particles},
      two_sided_(means.posteriors && means.posteriors->any()),
      delta_(two_sided_ ? budget.delta / 2 : budget.delta) {
  made_.route = sum.route;
  made_.confidence = 1 - budget.delta;
  if (two_sided_)
    posterior_ = means.posteriors->draws(sum.state);
  else
    made_.reason = means.posteriors ? means.posteriors->reason() : kNoPosterior;
}

Certificate Sampling::run() {
  while (made_.stopped.empty()) {
    if (late()) {
      made_.stopped = "seconds";
      break;
    }
    const auto count = next_batch();
    const auto time = settle();
    draw_below(count, time);
    if (two_sided_ && !late()) try_above(count, time);
    width_ = width();
    if (budget_.width > 0 && width_ <= budget_.width)
      made_.stopped = "width";
    else if (below_.count() >= budget_.samples)
      made_.stopped = "samples";
  }
  return result();
}

/// How many more to draw: those that the width asks for, if it goes on closing as it has, but no
/// more than there is time for.
std::int64_t Sampling::next_batch() const {
  const auto have = below_.count();
  auto count = have == 0 ? kFirstBatch : std::min(std::max(have, kFirstBatch), kMaxBatch);
  if (have > 0 && budget_.width > 0 && std::isfinite(width_)) {
    const auto more = double(have) * (width_ / budget_.width - 1) * 1.1;
    count = std::clamp(std::int64_t(std::min(more, double(kMaxBatch))), kMinBatch, count);
  }
  if (have > 0 && budget_.seconds > 0) {
    const auto in_time = double(have) / spent() * (budget_.seconds - spent());
    count = std::clamp(std::int64_t(in_time), kMinBatch, count);
  }
  return std::min(count, budget_.samples - have);
}

/// How the next samples are drawn, before they are; begins anew where that is better than before.
Tensor Sampling::settle() {
  auto& schedule = means_.schedule;
  const auto next = schedule.choose(sum_, std::max(budget_.width, 0.01) / 2);
  const bool twist = chains_.log_twist && chains_.particles > 0 && below_.count() > 0 &&
                     schedule.log_variance() > kTwistVariance;
  if (next > level_ || (twist && !twisted_)) {
    below_.restart();
    above_.restart();
  }
  level_ = next;
  twisted_ = twisted_ || twist;
  return schedule.times(sum_, level_);
}

void Sampling::draw_below(std::int64_t count, const Tensor& time) {
  double passes = sum_.passes;
  if (twisted_) {
    const auto drawn = chains_.draw(sum_.state, time, count, {}, stream_);
    add_all(below_, drawn.log_estimate);
    passes += drawn.passes;
  } else {
    const auto drawn = means_.proposal.draw(copies(sum_.state, count), time, stream_);
    const auto log_weight = sum_.log_sum(drawn.states) - drawn.log_prob;
    add_all(below_, log_weight);
    means_.schedule.saw(level_, log_weight);
    passes += drawn.passes;
  }
  made_.passes += double(count) * passes;
}

void Sampling::draw_above(std::int64_t count, const Tensor& time) {
  const auto full = posterior_.sample(count, stream_);
  double passes = sum_.passes;
  if (twisted_) {
    const auto drawn = chains_.draw(sum_.state, time, count, full, stream_);
    add_all(above_, -drawn.log_estimate);
    passes += drawn.passes;
  } else {
    const auto rows = copies(sum_.state, count);
    const auto states = torch::where(time >= 0, full, rows);
    const auto score = means_.proposal.score(states, rows, time);
    add_all(above_, score.log_prob - sum_.log_sum(states));
    passes += score.passes;
  }
  made_.passes += double(count) * passes;
}

/// Draws for the upper side. Where posterior samples cannot be had, only the lower side is left.
/// Whether they can be had does not depend on the chains of the lower side, so that its bound may
/// use all of delta, as long as the upper side has no samples.
void Sampling::try_above(std::int64_t count, const Tensor& time) try {
  draw_above(count, time);
} catch (const Error& e) {
  made_.reason = e.what();
  two_sided_ = false;
  if (above_.count() == 0) delta_ = budget_.delta;
}

/// The width of the interval; with one side alone, twice the distance of the mean from it.
double Sampling::width() {
  const auto lower = below_.log_lower(delta_);
  return above_.count() > 0 ? -above_.log_lower(delta_) - lower : 2 * (below_.log_mean() - lower);
}

double Sampling::estimate() const {
  if (above_.count() == 0) return below_.log_mean();
  if (below_.log_mean() == -INFINITY) return -above_.log_mean();
  return (below_.log_mean() - above_.log_mean()) / 2;
}

Certificate Sampling::result() {
  auto& made = made_;
  made.lower = below_.log_lower(delta_) - sum_.rounding;
  made.upper = -above_.log_lower(delta_) + sum_.rounding;
  made.log_marginal = estimate();
  made.samples = below_.count();
  if (above_.count() > 0) {
    made.upper_by = posterior_.method();
    made.samples = std::min(made.samples, above_.count());
    made.log_marginal = std::clamp(made.log_marginal, made.lower, std::max(made.lower, made.upper));
  } else if (made.reason.empty()) {
    made.reason = "the budget ended before there were posterior samples";
  }
  if (!std::isfinite(made.log_marginal)) made.log_marginal = NAN;
  if (made.lower > -INFINITY) return made;
  if (!made.reason.empty()) made.reason += "; ";
  made.reason += below_.count() == 0
                     ? "the budget ended before a chain was drawn"
                     : fmt::format("all of {} chains ended in states where f is 0", below_.count());
  return made;
}

}  // namespace marginalia::certify
