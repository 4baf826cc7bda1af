#pragma once

#include <torch/types.h>

#include <marginalia/family.h>

namespace marginalia {

/// Which of `count` rows this process has a part in, where ranks need not divide them: int64.
inline torch::Tensor own_part(const Step& step, std::int64_t count) {
  const auto ranks = step.batch_size() / step.share_of(step.batch_size());
  const auto own = step.share(torch::arange((count + ranks - 1) / ranks * ranks));
  return own.masked_select(own < count);
}

/// The mean over the rows of all ranks, which have as many each.  own: [B]  ->  a scalar.
inline torch::Tensor mean_of_all(Step& step, const torch::Tensor& own) {
  const auto ranks = step.batch_size() / step.share_of(step.batch_size());
  return step.sum(own.detach().mean()) / double(ranks);
}

}  // namespace marginalia
