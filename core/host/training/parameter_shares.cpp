#include "parameter_shares.h"

#include <algorithm>
#include <utility>

#include <torch/types.h>

namespace marginalia {

Tensor ParameterShares::own(const Tensor& whole) const {
  const auto begin = std::min(ranks_.rank() * length(whole), whole.numel());
  return whole.detach().flatten().slice(0, begin, begin + length(whole));
}

Tensor ParameterShares::whole(const Tensor& own, const Tensor& parameter) const {
  const auto all = ranks_.all_gather(padded(own, parameter));
  return all.slice(0, 0, parameter.numel()).clone().view(parameter.sizes());
}

void ParameterShares::send(const Tensor& parameter, const Tensor& values) {
  if (!next_.empty() && next_.front().values.scalar_type() != values.scalar_type()) begin();
  next_.push_back({parameter, values});
  bytes_ += std::int64_t(parameter.nbytes());
  if (bytes_ >= kBytes) begin();
}

void ParameterShares::receive() {
  begin();
  for (const auto& [runs, wait] : std::exchange(sent_, {})) {
    const auto all = wait();
    const auto by_rank = all.view({ranks_.size(), all.numel() / ranks_.size()});
    std::int64_t at = 0;
    for (const auto& [parameter, _] : runs) {
      const auto values = by_rank.narrow(1, at, length(parameter)).reshape(-1);
      Tensor(parameter).copy_(values.slice(0, 0, parameter.numel()).view(parameter.sizes()));
      at += length(parameter);
    }
  }
}

std::int64_t ParameterShares::length(const Tensor& parameter) const {
  return (parameter.numel() + ranks_.size() - 1) / ranks_.size();
}

Tensor ParameterShares::padded(const Tensor& values, const Tensor& parameter) const {
  const auto missing = length(parameter) - values.numel();
  return missing == 0 ? values : torch::cat({values, values.new_zeros({missing})});
}

void ParameterShares::begin() {
  if (next_.empty()) return;
  std::vector<Tensor> values;
  for (const auto& run : next_)
    values.push_back(padded(run.values, run.parameter));
  sent_.push_back({std::exchange(next_, {}), ranks_.begin_all_gather(torch::cat(values))});
  bytes_ = 0;
}

}  // namespace marginalia
