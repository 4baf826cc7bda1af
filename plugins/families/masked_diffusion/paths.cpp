#include "paths.h"

#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/resampling.h>
#include <marginalia/state_space.h>

namespace masked_diffusion {

using namespace marginalia;

Tensor log_variance(const Tensor& W, const Tensor& log_q) {
  const auto B = W.size(0);
  if (B < 2) throw SpecError("a variance needs a \"batch_size\" of 2 at least");
  if (torch::isinf(W).any().item<bool>())
    throw Error(
        "log-variance met a state that the energy forbids (log f = -inf); give the energy a finite "
        "penalty, or take \"objective\": \"weighted_denoising\", in which such states weigh "
        "nothing");
  const auto centred = W - W.mean();
  const auto slope = (-2 / double(B - 1)) * centred.to(log_q.options().requires_grad(false));
  const auto gradient = (slope * log_q).sum();
  return W.var().to(log_q.device()) + gradient - gradient.detach();
}

Tensor some_terms(const LogConditionals& conditionals, const Tensor& x, const Tensor& orders,
                  std::int64_t n, Stream& stream) {
  const auto B = x.size(0), D = x.size(1);
  const auto places = n == D ? torch::arange(D).expand({B, D}).contiguous()
                             : stream.permutations(B, D).slice(1, 0, n).contiguous();
  const auto time = places.view({B * n, 1});
  const auto states = x.repeat_interleave(n, 0);
  const auto known = ranks_of(orders).repeat_interleave(n, 0) < time;
  const auto log_p = conditionals(states.masked_fill(known.logical_not(), kUnknown));
  const auto variable = orders.gather(1, places).view({B * n});
  const auto value = states.gather(1, variable.unsqueeze(1)).squeeze(1);
  const auto on = [&](const Tensor& t) { return t.to(log_p.device()); };
  const auto terms = log_p.index({on(torch::arange(B * n)), on(variable), on(value)});
  return terms.view({B, n}).sum(1) * (double(D) / double(n));
}

void RunningLogZ::add(const Tensor& W) {
  const auto met = W.logsumexp(0).item<double>() - std::log(double(W.numel()));
  if (!std::isfinite(met)) return;
  if (!state_.defined()) {
    state_ = torch::tensor({met, 1.0}, torch::kDouble);
    return;
  }
  const auto average = state_[0].item<double>(), count = state_[1].item<double>() + 1;
  const auto rate = std::max(1 / count, kRate), top = std::max(average, met);
  const auto mean = (1 - rate) * std::exp(average - top) + rate * std::exp(met - top);
  state_ = torch::tensor({top + std::log(mean), count}, torch::kDouble);
}

Tensor RunningLogZ::value() const {
  if (!state_.defined()) throw Error("log Z is learned in training, and there was none yet");
  return state_.slice(0, 0, 1).clone();
}

bool Replay::due(std::int64_t step) const {
  return !next_.defined() || step >= next_.item<std::int64_t>();
}

void Replay::add(std::int64_t step, const Tensor& states, const Tensor& log_f,
                 const Tensor& log_q) {
  const auto joined = [&](const Tensor& old, const Tensor& fresh) {
    return old.defined() ? torch::cat({old, fresh}).slice(0, -params_.size) : fresh;
  };
  states_ = joined(states_, states);
  log_f_ = joined(log_f_, log_f);
  log_q_ = joined(log_q_, log_q);
  next_ = torch::tensor(step + params_.every);
}

Tensor Replay::weights(double b) const {
  const auto W = b * log_f_ - log_q_;
  if (!(W.max() > -INFINITY).item<bool>())
    throw Error("the energy forbids every state of the " + std::to_string(W.numel()) +
                " paths kept; a larger \"replay.fresh\" or a finite penalty may help");
  return W.softmax(0);
}

Tensor Replay::draw(std::int64_t rows, double b, Stream& stream) const {
  const auto index = resample_systematically(weights(b), rows, stream);
  // In a random order: what a row's time is must not depend on its weight.
  return states_.index({index.index({stream.permutations(1, rows)[0]})});
}

void Replay::visit(StateVisitor& v) {
  v("replay.states", states_);
  v("replay.log_density", log_f_);
  v("replay.log_model", log_q_);
  v("replay.next", next_);
}

}  // namespace masked_diffusion
