#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/types.h>

#include <marginalia/error.h>

#include "optimizer.h"

namespace marginalia {

double learning_rate_factor(const ScheduleParams& schedule, std::int64_t step, double progress) {
  if (step < schedule.warmup_steps) return double(step + 1) / double(schedule.warmup_steps);
  if (schedule.type == "constant") return 1;
  const auto wave = 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(progress, 0.0, 1.0)));
  return schedule.final_fraction + (1 - schedule.final_fraction) * wave;
}

Optimizer::Optimizer(const OptimizerParams& params, std::vector<ParameterGroup> groups,
                     Communicator* ranks)
    : params_(params), ranks_(ranks) {
  const bool has_moments = params.type != "sgd" || params.momentum > 0;
  if (params.zero == 1 && ranks && has_moments) shares_.emplace(*ranks);
  std::vector<std::string> names;
  for (const auto& group : groups) {
    names.push_back(group.name);
    const auto factor = params.factors.find(group.name);
    for (const auto& [name, parameter] : group.parameters)
      slots_.push_back({name,
                        group.name,
                        parameter,
                        {},
                        {},
                        0,
                        factor == params.factors.end() ? 1.0 : factor->second});
  }
  for (const auto& [name, _] : params.factors)
    if (!std::ranges::count(names, name))
      throw SpecError(fmt::format("training.optimizer.factors: {}",
                                  unknown_name("parameter group", name, names)));
}

double Optimizer::clip(const std::string& group, double clip_norm) {
  std::vector<Tensor> norms;
  for (const auto& slot : slots_)
    if ((group.empty() || slot.group == group) && slot.parameter.grad().defined())
      norms.push_back(slot.parameter.grad().norm().to(torch::kCPU, torch::kDouble));
  if (norms.empty()) return 0;
  const auto norm = torch::stack(norms).norm().item<double>();
  if (clip_norm > 0 && norm > clip_norm)
    for (auto& slot : slots_)
      if ((group.empty() || slot.group == group) && slot.parameter.grad().defined())
        slot.parameter.mutable_grad().mul_(clip_norm / norm);
  return norm;
}

void Optimizer::step(const std::string& group, double scale) {
  torch::NoGradGuard no_grad;
  for (auto& slot : slots_) {
    if ((!group.empty() && slot.group != group) || !slot.parameter.grad().defined()) continue;
    update(slot, params_.learning_rate * scale * slot.factor);
    slot.parameter.mutable_grad() = Tensor();
  }
  if (shares_) shares_->receive();
}

/// What this rank moves of a parameter, or what belongs to that of a tensor of its shape.
Tensor Optimizer::own(const Tensor& whole) const {
  return shares_ ? shares_->own(whole) : whole;
}

void Optimizer::update(Slot& slot, double rate) {
  const auto values = own(slot.parameter), gradient = own(slot.parameter.grad());
  ++slot.steps;
  if (params_.type == "sgd")
    sgd(slot, values, gradient, rate);
  else
    adam(slot, values, gradient, rate);
  if (shares_) shares_->send(slot.parameter, values);
}

void Optimizer::sgd(Slot& slot, const Tensor& values, Tensor gradient, double rate) const {
  if (params_.weight_decay > 0) gradient = gradient + params_.weight_decay * values;
  if (params_.momentum > 0) {
    slot.mean =
        slot.mean.defined() ? slot.mean.mul_(params_.momentum).add_(gradient) : gradient.clone();
    gradient = slot.mean;
  }
  values.add_(gradient, -rate);
}

/// m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  p -= rate * m^ / (sqrt(v^) + eps),
/// with m^ = m / (1 - b1^t), v^ = v / (1 - b2^t).
void Optimizer::adam(Slot& slot, const Tensor& p, const Tensor& gradient, double rate) const {
  if (!slot.mean.defined()) {
    slot.mean = torch::zeros_like(p);
    slot.square = torch::zeros_like(p);
  }
  const auto b1 = params_.beta1, b2 = params_.beta2;
  const auto step_size = rate / (1 - std::pow(b1, slot.steps));
  const auto root_scale = 1 / std::sqrt(1 - std::pow(b2, slot.steps));
  const bool decoupled = params_.type == "adamw";
  const auto decay = params_.weight_decay;
  const auto g = gradient.contiguous();
  if (!p.is_cpu() || p.scalar_type() != at::kFloat || !slot.parameter.is_contiguous()) {
    if (decoupled) p.mul_(1 - rate * decay);
    const auto pulled = decoupled || decay == 0 ? g : g + decay * p;
    slot.mean.mul_(b1).add_(pulled, 1 - b1);
    slot.square.mul_(b2).addcmul_(pulled, pulled, 1 - b2);
    p.addcdiv_(slot.mean, (slot.square.sqrt() * root_scale).add_(params_.epsilon), -step_size);
    return;
  }
  float* __restrict w = p.data_ptr<float>();
  float* __restrict m = slot.mean.data_ptr<float>();
  float* __restrict v = slot.square.data_ptr<float>();
  const float* __restrict grad = g.data_ptr<float>();
  const auto B1 = float(b1), B2 = float(b2), eps = float(params_.epsilon);
  const auto step = float(step_size), root = float(root_scale);
  const auto shrink = float(decoupled ? 1 - rate * decay : 1.0);
  const auto pull = float(decoupled ? 0.0 : decay);
  at::parallel_for(0, p.numel(), 1 << 15, [=](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      const float gi = grad[i] + pull * w[i];
      m[i] = B1 * m[i] + (1 - B1) * gi;
      v[i] = B2 * v[i] + (1 - B2) * gi * gi;
      w[i] = shrink * w[i] - step * m[i] / (std::sqrt(v[i]) * root + eps);
    }
  });
  torch::autograd::impl::bump_version(p);  // written past LibTorch: copies made of p are stale now
}

std::vector<std::int64_t> Optimizer::updates() const {
  std::vector<std::int64_t> all;
  for (const auto& slot : slots_)
    all.push_back(slot.steps);
  return all;
}

std::vector<Tensor*> Optimizer::Slot::moments() {
  std::vector<Tensor*> all;
  for (auto* moment : {&mean, &square})
    if (moment->defined()) all.push_back(moment);
  return all;
}

void Optimizer::gather_moments() {
  if (!shares_) return;
  for (auto& slot : slots_)
    for (auto* moment : slot.moments()) {
      const auto whole = shares_->whole(*moment, slot.parameter);
      if (ranks_->is_first()) *moment = whole;
    }
}

std::int64_t Optimizer::bytes() const {
  std::int64_t sum = 0;
  for (const auto& slot : slots_)
    for (const auto* moment : {&slot.mean, &slot.square})
      if (moment->defined()) sum += std::int64_t(moment->nbytes());
  return sum;
}

void Optimizer::visit(StateVisitor& visitor) {
  for (auto& slot : slots_) {
    const auto key = "optimizer." + slot.name;
    visitor(key + ".mean", slot.mean);
    visitor(key + ".square", slot.square);
    for (auto* moment : slot.moments()) {
      if (moment->numel() != slot.parameter.numel())
        throw Error(fmt::format("\"{}\" has moments of {} elements, the parameter has {}", key,
                                moment->numel(), slot.parameter.numel()));
      *moment = moment->to(slot.parameter.options());  // a run may go on in another precision
      if (shares_) *moment = own(*moment).clone();
    }
    auto steps = torch::tensor(slot.steps);
    visitor(key + ".steps", steps);
    slot.steps = steps.item<std::int64_t>();
  }
}

}  // namespace marginalia
