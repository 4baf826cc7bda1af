#include <torch/types.h>

#include <marginalia/inference/resampling.h>

namespace marginalia {

Tensor resample_systematically(const Tensor& weight, std::int64_t rows, Stream& stream) {
  const auto below = weight.cumsum(0);
  const auto place = (torch::arange(rows) + stream.uniform({1})).to(torch::kDouble) / double(rows);
  const auto chosen = torch::searchsorted(below, place * below[-1], false, /*right=*/true);
  return chosen.clamp_max(weight.size(0) - 1);
}

}  // namespace marginalia
