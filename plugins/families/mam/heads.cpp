#include "heads.h"

#include <torch/types.h>

namespace marginalia::mam {

Heads::Heads(const FamilyContext& context, const Energy* density)
    : space_(context.space),
      density_(density),
      device_(context.device),
      conditional_(context, "conditional", kLogits),
      marginal_(context, "marginal", kLogMarginal),
      causal_(Causal::of(context)) {}

std::pair<Tensor, Tensor> Heads::both(const Tensor& partial) const {
  if (!shared()) return {conditional_.log_conditionals(partial), marginal_.log_marginal(partial)};
  const auto heads = conditional_.evaluate(partial, kLogits | kLogMarginal);
  return {heads.logits.log_softmax(2), heads.log_marginal};
}

Tensor Heads::with_density(const Tensor& F, const Tensor& partial,
                           const Tensor& log_density) const {
  const auto full = (partial != kUnknown).all(1).to(device_);
  return torch::where(full, log_density.to(F.options()), F);
}

Tensor Heads::log_sum(const Tensor& partial) const {
  std::vector<Tensor> parts;
  for (const auto& part : partial.split(rows_a_pass(partial.size(1)))) {
    auto F = marginal_.log_marginal(part);
    if (causal_) F = F + causal_->log_prob(part);
    parts.push_back(F.to(torch::kCPU, torch::kDouble));
  }
  auto F = torch::cat(parts);
  if (!density_) return F;
  const auto full = (partial != kUnknown).all(1);
  const auto rows = full.nonzero().squeeze(1);
  if (rows.numel() > 0) F.index_put_({rows}, density_->log_density(partial.index({rows})));
  return F;
}

Tensor Heads::learn_causal(Step& step, const Tensor& partial) const {
  if (!causal_) return torch::zeros({partial.size(0)}, device_);
  step.count_passes(partial.size(0));
  const auto log_q = causal_->log_prob(partial);
  const auto loss = -log_q.mean();
  step.record("train/causal", loss.item<double>());
  step.minimise(loss, "causal");
  return log_q.detach();
}

std::vector<std::pair<std::string, Tensor>> Heads::group(bool marginal) const {
  if (!shared()) return (marginal ? marginal_ : conditional_).parameters();
  std::vector<std::pair<std::string, Tensor>> chosen;
  for (auto& entry : conditional_.parameters())
    if (entry.first.starts_with(conditional_.prefix() + "marginal") == marginal)
      chosen.push_back(entry);
  return chosen;
}

std::vector<ParameterGroup> Heads::groups() const {
  std::vector<ParameterGroup> groups{{"conditional", group(false)}, {"marginal", group(true)}};
  if (causal_) groups.push_back(causal_->network().group());
  return groups;
}

void Heads::visit(StateVisitor& v) const {
  conditional_.visit(v);
  if (!shared()) marginal_.visit(v);
  if (causal_) causal_->network().visit(v);
}

void Heads::set_training(bool training) const {
  conditional_->train(training);
  marginal_->train(training);
  if (causal_) causal_->network()->train(training);
}

}  // namespace marginalia::mam
