#include "member.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/types.h>

#include "shared/families/over_ranks.h"

namespace marginalia::best_of {

namespace {

/// Copies what a family visits.
class Copier final : public StateVisitor {
 public:
  Tensors tensors;
  void operator()(const std::string& name, Tensor& tensor) override {
    tensors[name] = tensor.defined() ? tensor.detach().clone() : Tensor();
  }

 private:
  void parameter(const std::string& name, Tensor& tensor) override { (*this)(name, tensor); }
};

/// Puts such a copy back.
class Restorer final : public StateVisitor {
 public:
  explicit Restorer(const Tensors& tensors) : tensors_(tensors) {}
  void operator()(const std::string& name, Tensor& tensor) override {
    const auto& copy = tensors_.at(name);
    tensor = copy.defined() ? copy.clone() : Tensor();
  }

 private:
  void parameter(const std::string& name, Tensor& tensor) override {
    torch::NoGradGuard no_grad;
    tensor.copy_(tensors_.at(name));
  }
  const Tensors& tensors_;
};

Tensors copy(Family& family) {
  Copier copier;
  family.visit(copier);
  return std::move(copier.tensors);
}

void restore(Family& family, const Tensors& tensors) {
  Restorer restorer(tensors);
  family.visit(restorer);
}

}  // namespace

Member::Member(std::string name, std::shared_ptr<Family> family, double decay)
    : name_(std::move(name)), family_(std::move(family)), decay_(decay) {
  updates_ = torch::zeros({1}, torch::kLong);
  for (const auto& group : family_->parameters())
    for (const auto& [parameter, tensor] : group.parameters) {
      parameters_.emplace_back(parameter, tensor);
      averages_.emplace_back(parameter, tensor.detach().clone());
    }
}

double Member::value() const {
  return validated() ? log_p_.mean().item<double>() : -INFINITY;
}

void Member::step(Step& step) {
  family_->step(step);
  torch::NoGradGuard no_grad;
  const auto t = double((updates_ += 1).item<std::int64_t>());
  const auto decay = std::min(decay_, t / (9 + t));
  for (std::size_t n = 0; n < parameters_.size(); ++n) {
    auto &parameter = parameters_[n].second, &average = averages_[n].second;
    if (parameter.requires_grad())
      average.lerp_(parameter, 1 - decay);
    else
      parameter.copy_(average);
  }
}

void Member::swap_averages() {
  torch::NoGradGuard no_grad;
  for (std::size_t n = 0; n < parameters_.size(); ++n) {
    const auto kept = parameters_[n].second.detach().clone();
    parameters_[n].second.copy_(averages_[n].second);
    averages_[n].second.copy_(kept);
  }
}

bool Member::validate(const Tensor& rows, Step& step) {
  swap_averages();
  auto candidate = copy(*family_);
  family_->set_training(false);
  auto& stream = step.stream("family/valid");
  auto all = torch::zeros({rows.size(0)}, torch::kDouble);
  for (const auto& some : own_part(step, rows.size(0)).split(1024)) {
    if (some.numel() == 0) continue;  // fewer rows than ranks
    const auto part = rows.index_select(0, some);
    all.index_copy_(
        0, some, family_->answer({.kind = QueryKind::kLogMarginal, .partial = part}, stream).value);
  }
  all = step.sum(all);
  family_->set_training(true);
  swap_averages();
  if (!(all.mean().item<double>() > value())) return false;
  log_p_ = all;
  best_ = std::move(candidate);
  return true;
}

void Member::finish() {
  if (best_.empty()) return;
  restore(*family_, best_);
  best_.clear();
  torch::NoGradGuard no_grad;
  for (std::size_t n = 0; n < parameters_.size(); ++n)
    averages_[n].second.copy_(parameters_[n].second);
}

void Member::put_aside(bool on) {
  if (on && !aside_ && !best_.empty()) {
    aside_ = copy(*family_);
    restore(*family_, best_);
  }
  if (!on && aside_) restore(*family_, *std::exchange(aside_, std::nullopt));
}

void Member::set_training(bool training) {
  training_ = training;
  family_->set_training(true);  // the type that both states are of
  put_aside(!training);
  family_->set_training(training);
}

std::vector<ParameterGroup> Member::parameters(const std::string& prefix) {
  auto groups = family_->parameters();
  for (auto& group : groups) {
    group.name = prefix + group.name;
    for (auto& [name, _] : group.parameters)
      name = prefix + name;
  }
  return groups;
}

void Member::visit(StateVisitor& v) {
  put_aside(false);
  family_->visit(v);
  v("updates", updates_);
  v("valid", log_p_);
  for (auto& [name, average] : averages_)
    v("running." + name, average);
  Tensors best;
  for (const auto& [name, _] : copy(*family_)) {
    auto& tensor = best[name] = best_.contains(name) ? best_.at(name) : Tensor();
    v("best." + name, tensor);
  }
  const bool any = std::ranges::any_of(best, [](const auto& one) { return one.second.defined(); });
  best_ = any ? std::move(best) : Tensors();
  put_aside(!training_);
}

double MemberStep::progress() const {
  return std::clamp((step_.progress() - begin_) / (end_ - begin_), 0.0, 1.0);
}

void MemberStep::set_stage(double begin, double end) {
  step_.set_stage(begin_ + begin * (end_ - begin_), begin_ + end * (end_ - begin_));
}

}  // namespace marginalia::best_of
