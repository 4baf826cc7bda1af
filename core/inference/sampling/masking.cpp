#include <torch/types.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>

namespace marginalia {

Tensor uniform_states(const StateSpace& space, std::int64_t rows, Stream& stream) {
  const auto cardinalities = torch::tensor(space.cardinalities);
  const auto u = stream.uniform({rows, space.dimension()});
  return (u * cardinalities).floor().to(torch::kLong).minimum(cardinalities - 1);
}

Tensor stratified_sizes(std::int64_t rows, std::int64_t limit, Stream& stream) {
  const auto place = (torch::arange(rows) + stream.uniform({rows})) / double(rows);
  return (place * double(limit)).to(torch::kLong).clamp(0, limit - 1);
}

MaskedStates mask_uniformly(const Tensor& x, Stream& stream) {
  const auto B = x.size(0), D = x.size(1);
  const auto place = (torch::arange(B) + stream.uniform({B})) / double(B);
  const auto gap = x == kUnknown;
  const auto known = D - gap.sum(1);
  const auto size = (place * known).to(torch::kLong).minimum(known - 1);
  auto ranks = to_ranks(stream.permutations(B, D));
  if (gap.any().item<bool>())  // gaps come last, which leaves the others 0..n-1
    ranks = to_ranks((ranks + D * gap.to(torch::kLong)).argsort(std::int64_t{1}));
  const auto unknown = (ranks >= size.unsqueeze(1)).logical_and(gap.logical_not());
  return {x.masked_fill(unknown, kUnknown), unknown};
}

Tensor masked_cross_entropy(const Tensor& log_p, const Tensor& x, const Tensor& unknown) {
  const auto value = log_p.gather(2, x.clamp_min(0).unsqueeze(2)).squeeze(2);  // [B, D]
  const auto sum = -value.masked_fill(unknown.logical_not(), 0).sum(1);
  return sum / unknown.sum(1).clamp_min(1);
}

}  // namespace marginalia
