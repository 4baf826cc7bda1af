#include "paths.h"

#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/masking.h>
#include <marginalia/inference/resampling.h>
#include <marginalia/state_space.h>

namespace marginalia::masked_diffusion {

using namespace marginalia;

Tensor log_variance(const Tensor& W, const Tensor& log_q, const Tensor& group) {
  const auto B = W.size(0), G = group.max().item<std::int64_t>() + 1;
  const auto sums = [&](const Tensor& of_rows) {
    return torch::zeros({G}, W.options()).index_add_(0, group, of_rows);
  };
  const auto size = sums(torch::ones_like(W));
  if ((size == 1).any().item<bool>())
    throw SpecError("a variance needs a \"batch_size\" of 2 at least");
  if (torch::isinf(W).any().item<bool>())
    throw Error(
        "log-variance met a state that the energy forbids (log f = -inf); give the energy a finite "
        "penalty, or take \"objective\": \"weighted_denoising\", in which such states weigh "
        "nothing");
  const auto centred = W - (sums(W) / size).index_select(0, group);
  const auto weight = (size / (size - 1) / double(B)).index_select(0, group);
  const auto slope = (-2 * weight * centred).to(log_q.options().requires_grad(false));
  const auto gradient = (slope * log_q).sum();
  return (weight * centred.square()).sum().to(log_q.device()) + gradient - gradient.detach();
}

Tensor some_terms(const LogConditionals& conditionals, const Tensor& x, const Tensor& orders,
                  const Tensor& first, std::int64_t n, Stream& stream) {
  const auto B = x.size(0), D = x.size(1);
  const auto length = (D - first).unsqueeze(1);  // [B, 1]
  const auto share = (torch::arange(n) + stream.uniform({B, n})) / double(n);
  const auto strata = first.unsqueeze(1) + (share * length).to(torch::kLong).minimum(length - 1);
  const bool all = n == D && (first == 0).all().item<bool>();
  const auto places = all ? torch::arange(D).expand({B, D}).contiguous() : strata;
  const auto time = places.view({B * n, 1});
  const auto states = x.repeat_interleave(n, 0);
  const auto known = to_ranks(orders).repeat_interleave(n, 0) < time;
  const auto variable = orders.gather(1, places).view({B * n});
  const auto log_p = conditionals.at(states.masked_fill(known.logical_not(), kUnknown), variable);
  const auto value = states.gather(1, variable.unsqueeze(1)).to(log_p.device());
  const auto terms = log_p.gather(1, value);
  return terms.view({B, n}).mean(1) * (D - first).to(terms.options());
}

Branches draw_branches(std::int64_t rows, std::int64_t dimension, std::int64_t siblings,
                       double root_fraction, Stream& stream) {
  auto groups = siblings < 2 || dimension < 2
                    ? 0
                    : std::int64_t((1 - root_fraction) * double(rows) / double(siblings));
  if (groups > 0 && rows - groups * siblings == 1) --groups;  // one path alone has no variance
  const auto roots = groups > 0 ? 1 + stratified_sizes(groups, dimension - 1, stream)
                                : torch::empty({0}, torch::kLong);
  const auto parent = torch::cat({torch::zeros({rows - groups * siblings}, torch::kLong),
                                  (1 + torch::arange(groups)).repeat_interleave(siblings)});
  const auto all = torch::cat({torch::zeros({1}, torch::kLong), roots});
  return {all.index_select(0, parent), parent, all};
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
  // The rows are put in a random order, since a row's time must not depend on its weight.
  return states_.index({index.index({stream.permutations(1, rows)[0]})});
}

void Replay::visit(StateVisitor& v) {
  v("replay.states", states_);
  v("replay.log_density", log_f_);
  v("replay.log_model", log_q_);
  v("replay.next", next_);
}

}  // namespace marginalia::masked_diffusion
