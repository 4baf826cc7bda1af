#include "policy.h"

#include <cmath>

#include <torch/types.h>

#include <marginalia/error.h>

namespace marginalia::gflownet {

using namespace marginalia;

Tensor explored(const Tensor& log_p, const Exploration& exploration) {
  if (exploration.uniform == 0 && exploration.temperature == 1) return log_p;
  const auto possible = (log_p > -INFINITY).to(log_p.options());
  const auto uniform = possible / possible.sum(-1, true).clamp_min(1);
  const auto tempered = softmax_levels(log_p / exploration.temperature);
  return ((1 - exploration.uniform) * tempered + exploration.uniform * uniform).log();
}

Tensor states_along(const Paths& paths, std::int64_t first, std::int64_t last) {
  const auto rank = to_ranks(paths.orders).unsqueeze(1);              // [B, 1, D]
  const auto time = torch::arange(first, last + 1).view({1, -1, 1});  // [1, T, 1]
  const auto states = paths.states.unsqueeze(1).masked_fill(rank >= time, kUnknown);
  return states.flatten(0, 1);
}

Ordering ordering_named(const std::string& name) {
  if (name == "learned") return Ordering::kLearned;
  if (name == "forward") return Ordering::kForward;
  return name == "backward" ? Ordering::kBackward : Ordering::kRandom;
}

std::string to_string(Ordering ordering) {
  switch (ordering) {
    case Ordering::kRandom:
      return "random";
    case Ordering::kForward:
      return "forward";
    case Ordering::kBackward:
      return "backward";
    case Ordering::kLearned:
      return "learned";
  }
  return "";
}

static Order to_order(Ordering ordering) {
  if (ordering == Ordering::kForward) return Order::kForward;
  return ordering == Ordering::kBackward ? Order::kBackward : Order::kRandom;
}

Policy::Policy(Ordering ordering, bool learned_backward, RoleNetwork conditional,
               std::optional<RoleNetwork> position)
    : ordering_(ordering),
      learned_backward_(learned_backward),
      conditional_(std::move(conditional)),
      position_(std::move(position)) {}

Tensor Policy::weighted_conditionals(const Tensor& partial) const {
  const auto logits = position_->evaluate(partial, kPositionLogits).position_logits;
  const auto left = (partial == kUnknown).sum(1, true).to(logits.options());
  const auto positions = log_positions(logits, partial, true) + left.log();
  return log_conditionals(partial) + positions.unsqueeze(2);
}

Policy::Walk Policy::complete(const Tensor& partial, const Exploration& exploration,
                              Stream& stream) const {
  torch::NoGradGuard no_grad;
  if (ordering_ == Ordering::kLearned) return by_learned_order(partial, exploration, stream);
  const auto known = (partial != kUnknown).to(torch::kLong);
  auto orders = draw_orders(to_order(ordering_), partial.size(0), partial.size(1), stream);
  // what is known comes first, the rest as drawn
  const auto rank = to_ranks(orders) - known * partial.size(1);
  orders = rank.argsort(std::int64_t{1});
  const auto log_p = [&](const Tensor& s) {
    return explored(log_conditionals(s), exploration).to(torch::kCPU);
  };
  const auto sample = sample_chain(log_p, partial, orders, stream);
  return {{sample.states, orders}, std::llround(sample.passes)};
}

Paths Policy::back_from(const Tensor& states, Stream& stream) const {
  return {states, draw_orders(to_order(ordering_), states.size(0), states.size(1), stream)};
}

Tensor Policy::log_positions(const Tensor& logits, const Tensor& partial, bool forward) const {
  const auto known = partial.to(logits.device()) != kUnknown;
  return logits.masked_fill(forward ? known : known.logical_not(), -INFINITY).log_softmax(1);
}

static Tensor drawn(const Tensor& log_p, Stream& stream) {  // [B, N] -> int64 [B, 1]
  return torch::multinomial(log_p.to(torch::kCPU, torch::kDouble).exp(), 1, false,
                            stream.generator());
}

Policy::Walk Policy::by_learned_order(Tensor x, const Exploration& exploration,
                                      Stream& stream) const {
  const auto D = x.size(1);
  const auto known = x != kUnknown;
  const auto U = D - known.sum(1)[0].item<std::int64_t>();
  auto orders = torch::zeros_like(x);
  orders.slice(1, 0, D - U).copy_(known.nonzero().select(1, 1).view({x.size(0), D - U}));
  x = x.clone();
  for (auto t = D - U; t < D; ++t) {
    const auto positions = position_->evaluate(x, kPositionLogits).position_logits;
    const auto i = drawn(explored(log_positions(positions, x, true), exploration), stream);
    const auto log_p = explored(log_conditionals(x), exploration).to(torch::kCPU);
    const auto rows = torch::arange(x.size(0));
    const auto value = drawn(log_p.index({rows, i.squeeze(1)}), stream);
    orders.slice(1, t, t + 1).copy_(i);
    x.scatter_(1, i, value);
  }
  return {{x, orders}, U * networks()};
}

Tensor Policy::value_links(const Paths& paths, std::int64_t first, const Tensor& logits) const {
  const auto B = paths.states.size(0), D = paths.states.size(1), T = D - first;
  const auto variable = paths.orders.slice(1, first).reshape({-1}).to(logits.device());  // [B T]
  const auto value = paths.states.gather(1, paths.orders.slice(1, first)).reshape({-1, 1});
  const auto row = torch::arange(B * T, variable.options());
  const auto log_p = logits.index({row, variable}).log_softmax(1);  // [B T, K]
  return log_p.gather(1, value.to(logits.device())).view({B, T});
}

Tensor Policy::links(const Paths& paths, std::int64_t first, const Tensor& logits) const {
  const auto values = value_links(paths, first, logits);
  return position_ ? values + order_links(paths, first, learned_backward_) : values;
}

static Tensor logits_along(const Paths& paths, std::int64_t first, const RoleNetwork& conditional) {
  const auto states = states_along(paths, first, paths.states.size(1) - 1);
  return conditional.evaluate(states, kLogits).logits;
}

Tensor Policy::links(const Paths& paths, std::int64_t first) const {
  return links(paths, first, logits_along(paths, first, conditional_));
}

Tensor Policy::links_of_uniform(const Paths& paths, std::int64_t first) const {
  const auto logits = logits_along(paths, first, conditional_);
  const auto values = value_links(paths, first, logits);
  return position_ ? values + order_links(paths, first, false) : values;
}

/// log((D - t) o) of equation (1), or log o - log b of (2): [B, D - first].
Tensor Policy::order_links(const Paths& paths, std::int64_t first, bool learned_backward) const {
  const auto B = paths.states.size(0), D = paths.states.size(1), T = D - first;
  const auto states = states_along(paths, first, learned_backward ? D : D - 1);
  const auto logits = position_->evaluate(states, kPositionLogits).position_logits.view({B, -1, D});
  const auto along = states.view({B, -1, D});
  const auto variable = paths.orders.slice(1, first).to(logits.device()).unsqueeze(2);  // [B, T, 1]
  const auto at = [&](std::int64_t shift, bool forward) {  // of s_t, or s_{t+1}: [B, T]
    const auto part = [&](const Tensor& x) { return x.slice(1, shift, shift + T).flatten(0, 1); };
    const auto log_p = log_positions(part(logits), part(along), forward).view({B, T, D});
    return log_p.gather(2, variable).squeeze(2);
  };
  if (learned_backward) return at(0, true) - at(1, false);
  const auto left = torch::arange(T, 0, -1, logits.options());  // D - t
  return at(0, true) + left.log();
}

}  // namespace marginalia::gflownet
