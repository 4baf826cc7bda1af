#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/inference/any_order.h>

#include "gflownet.h"

namespace marginalia::gflownet {

/// h(x_S) of the marginal head: float64 [B], on the CPU.
Tensor GFlowNet::head(const Tensor& partial) const {
  std::vector<Tensor> parts;
  for (const auto& part : partial.split(rows_a_pass(partial.size(1))))
    parts.push_back(marginal_->log_marginal(part).to(torch::kCPU, torch::kDouble));
  return torch::cat(parts);
}

/// log f of full states, the spec's or the model's: float64 [B], no gradient.
Tensor GFlowNet::log_density(const Tensor& states) const {
  torch::NoGradGuard no_grad;
  return energy_ ? energy_->log_density(states)
                 : model_->log_density(states).to(torch::kCPU, torch::kDouble);
}

/// log G(x_S) - log Z: float64 [B].
Tensor GFlowNet::log_flow(const Tensor& partial) const {
  const auto h = head(torch::cat({partial, space_.empty()}));
  auto flow = h.slice(0, 0, -1) - h[h.size(0) - 1];
  const auto full = (partial != kUnknown).all(1).nonzero().squeeze(1);
  if (full.numel() > 0)
    flow.index_put_({full}, log_density(partial.index({full})) - log_z_->value.item<double>());
  return flow;
}

Answer GFlowNet::one_pass(const Query& query) const {
  if (!query.given.defined()) return {.value = log_flow(query.partial), .passes = 1};
  const auto flow = log_flow(torch::cat({query.partial, query.given}));
  const auto B = query.partial.size(0);
  return {.value = flow.slice(0, 0, B) - flow.slice(0, B), .passes = 2};
}

/// log p(x_i = k | x_S) + log((D - t) o(i | x_S)): in learned order what takes the place of
/// conditionals, such that its mean product over random orders is the chance of a full state.
Tensor GFlowNet::along_order(const Tensor& partial) const {
  return policy_.weighted_conditionals(partial).to(torch::kCPU);
}

/// Learned order: samples of the policy, and what their law says of a state.
Answer GFlowNet::from_policy(const Query& query, Stream& stream) const {
  const auto& x = query.partial;
  const auto unknown = (x == kUnknown).sum(1);
  if (query.kind == QueryKind::kLogMarginal) {
    const auto some = (unknown > 0).logical_and(unknown < x.size(1)).any().item<bool>();
    if (learns_backward() && (some || query.given.defined()))
      throw SpecError(label() + ": with a learned backward policy only whole states have answers");
    const auto score = score_ensemble([this](const Tensor& s) { return along_order(s); }, x,
                                      query.given, query.orders, stream);
    return {.value = score.log_prob, .passes = 2 * score.passes};
  }
  Answer answer{.value = torch::zeros({x.size(0)}, torch::kDouble), .states = x.clone()};
  answer.status = Status::kExact;
  for (std::int64_t u = 1; u <= x.size(1); ++u) {
    const auto rows = (unknown == u).nonzero().squeeze(1);
    for (const auto& part : rows.split(rows_a_pass(x.size(1)))) {
      if (part.numel() == 0) continue;
      const auto walk = policy_.complete(x.index({part}), {}, stream);
      // A learned b is that of ways back to nothing; a uniform one serves ways back to evidence.
      const auto first = x.size(1) - u;
      const auto links = (first == 0 ? policy_.links(walk.paths, first)
                                     : policy_.links_of_uniform(walk.paths, first))
                             .sum(1, false, torch::kDouble);
      answer.states.index_put_({part}, walk.paths.states);
      answer.value.index_put_({part}, links.to(torch::kCPU));
      answer.passes += double(part.numel() * walk.passes) / double(x.size(0));
    }
  }
  return answer;
}

/// Along a fixed order nothing is learned but of states that begin it.
void GFlowNet::check_prefix(const Tensor& partial) const {
  const auto along = ordering_ == Ordering::kForward ? partial : partial.flip(1);
  const auto known = (along != kUnknown).to(torch::kLong);
  if (!std::get<0>(known.cummin(1)).equal(known))
    throw SpecError(fmt::format(
        "{}: learned in {} order alone, what is known must come first in it; in random order "
        "(\"order\" of the family) it answers all questions",
        label(), to_string(ordering_)));
}

Answer GFlowNet::from_conditionals(Query query, Stream& stream) const {
  if (is_fixed()) {
    check_prefix(query.partial);
    if (query.given.defined()) check_prefix(query.given);
    const auto own = order_named(to_string(ordering_));
    if (query.order != Order::kRandom && query.order != own)
      throw SpecError(fmt::format("{}: learned in {} order alone, asked for {}", label(),
                                  to_string(ordering_), to_string(query.order)));
    query.order = own;
  }
  const auto log_p = [this](const Tensor& s) {
    return policy_.log_conditionals(s).to(torch::kCPU);
  };
  return answer_from_conditionals(log_p, query, stream, {.colours = conditional_->colours()});
}

Answer GFlowNet::compute_answer(const Query& query, Stream& stream) const {
  torch::NoGradGuard no_grad;
  if (query.kind == QueryKind::kLogZ)
    return {.value = log_z_->value.detach().to(torch::kCPU, torch::kDouble)};
  if (query.kind == QueryKind::kLogMarginal && query.estimator == "one_pass")
    return one_pass(query);
  return is_learned() ? from_policy(query, stream) : from_conditionals(query, stream);
}

}  // namespace marginalia::gflownet
