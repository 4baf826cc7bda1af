#include "gradient_buckets.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/types.h>

#include <marginalia/error.h>

#include "host/ranks/together.h"

namespace marginalia {

/// What LibTorch calls once the gradient of a parameter is complete.
class GradientBuckets::Arrival final : public torch::autograd::FunctionPostHook {
 public:
  Arrival(GradientBuckets& of, std::size_t slot) : of_(of), slot_(slot) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    of_.on_gradient(slot_);
    return outputs;
  }

 private:
  GradientBuckets& of_;
  std::size_t slot_;
};

GradientBuckets::GradientBuckets(Communicator& ranks, const std::vector<ParameterGroup>& groups)
    : ranks_(ranks) {
  for (const auto& group : groups)
    for (const auto& [_, parameter] : group.parameters)
      slots_.push_back({group.name, parameter, nullptr});
}

GradientBuckets::~GradientBuckets() {
  for (auto& slot : slots_)
    if (slot.accumulator) slot.accumulator->del_post_hook(slot.hook);
}

void GradientBuckets::backward(const Tensor& loss, const std::string& group) {
  follow(group);
  group_ = group;
  order_.clear();
  sent_ = 0;
  for (auto& bucket : plans_[group].buckets)
    bucket.arrived = 0;
  is_under_way_ = true;
  loss.backward();
  is_under_way_ = false;
  fill_rest();
  for (auto& bucket : plans_[group].buckets)
    take_sums(bucket);
}

/// LibTorch makes the accumulator of a gradient anew where a parameter changed its type.
void GradientBuckets::follow(const std::string& group) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    auto& slot = slots_[i];
    if ((!group.empty() && slot.group != group) || !slot.parameter.requires_grad()) continue;
    const auto accumulator = torch::autograd::impl::grad_accumulator(slot.parameter);
    if (accumulator == slot.accumulator) continue;
    slot.accumulator = accumulator;
    slot.hook = accumulator->add_post_hook(std::make_unique<Arrival>(*this, i));
  }
}

void GradientBuckets::on_gradient(std::size_t slot) {
  if (!is_under_way_ || (!group_.empty() && slots_[slot].group != group_)) return;
  order_.push_back(slot);
  auto& plan = plans_[group_];
  const auto found = plan.bucket_of.find(slot);
  if (found == plan.bucket_of.end()) return;
  ++plan.buckets[found->second].arrived;
  send_full();
}

/// Buckets are sent in one order, so that those of all ranks meet.
void GradientBuckets::send_full() {
  const torch::NoGradGuard no_grad;
  auto& buckets = plans_[group_].buckets;
  for (; sent_ < buckets.size() && buckets[sent_].is_full(); ++sent_) {
    auto& bucket = buckets[sent_];
    std::vector<Tensor> gradients;
    for (const auto slot : bucket.slots)
      gradients.push_back(slots_[slot].parameter.grad().flatten());
    bucket.sum = torch::cat(gradients);
    bucket.wait = ranks_.begin_all_reduce(bucket.sum);
  }
}

/// Where gradients came that the plan does not know, or did not come that it waits for: those that
/// were not sent go into new buckets, which are sent now.
void GradientBuckets::fill_rest() {
  auto& plan = plans_[group_];
  if (sent_ == plan.buckets.size() && order_.size() == plan.bucket_of.size()) return;
  check_order();
  for (std::size_t n = 0; n < sent_; ++n)
    take_sums(plan.buckets[n]);
  std::vector<std::size_t> rest;
  for (const auto slot : order_) {
    const auto found = plan.bucket_of.find(slot);
    if (found == plan.bucket_of.end() || found->second >= sent_) rest.push_back(slot);
  }
  plan = make_plan(rest);
  sent_ = 0;
  for (auto& bucket : plan.buckets)
    bucket.arrived = bucket.slots.size();
  send_full();
  for (auto& bucket : plan.buckets)
    take_sums(bucket);
  plan = make_plan(order_);
}

/// Gradients become views of the sum of their bucket.
void GradientBuckets::take_sums(Bucket& bucket) {
  if (!bucket.wait) return;
  std::exchange(bucket.wait, nullptr)();
  std::int64_t at = 0;
  for (const auto i : bucket.slots) {
    auto& parameter = slots_[i].parameter;
    const auto count = parameter.numel();
    parameter.mutable_grad() = bucket.sum.slice(0, at, at + count).view(parameter.sizes());
    at += count;
  }
  bucket.sum = Tensor();
}

GradientBuckets::Plan GradientBuckets::make_plan(const std::vector<std::size_t>& order) const {
  Plan plan;
  std::int64_t bytes = kBytes;  // of the last bucket: none yet
  for (const auto slot : order) {
    const auto& parameter = slots_[slot].parameter;
    auto& buckets = plan.buckets;
    const bool fits =
        bytes < kBytes &&
        slots_[buckets.back().slots.front()].parameter.scalar_type() == parameter.scalar_type();
    if (!fits) {
      buckets.emplace_back();
      bytes = 0;
    }
    buckets.back().slots.push_back(slot);
    plan.bucket_of[slot] = buckets.size() - 1;
    bytes += std::int64_t(parameter.nbytes());
  }
  return plan;
}

void GradientBuckets::check_order() const {
  const auto all = ranks_.all_gather(fmt::format("{}", fmt::join(order_, " ")));
  if (std::ranges::all_of(all, [&](const auto& order) { return order == all[0]; })) return;
  throw_on_all<Error>(
      "ranks have gradients of different parameters in one step, so that there is no sum of "
      "them",
      ranks_.is_first());
}

void broadcast_parameters(Communicator& ranks, const std::vector<ParameterGroup>& groups) {
  const torch::NoGradGuard no_grad;
  for (const auto& group : groups)
    for (const auto& [_, parameter] : group.parameters) {
      const auto values = parameter.detach().contiguous().clone();
      ranks.broadcast(values);
      Tensor(parameter).copy_(values);
    }
}

}  // namespace marginalia
