#include "scales.h"

#include <algorithm>
#include <vector>

#include <torch/types.h>

namespace marginalia::mixture {
namespace {

/// phi_r at each of n levels of a scale.  counts: float64 [n]  ->  float64 [n, min(degree, n - 1)].
Tensor polynomials(const Tensor& counts, std::int64_t degree) {
  const auto p = (counts + 1) / (counts + 1).sum();  // no level without rows
  const auto t = at::special_ndtri(p.cumsum(0) - p / 2);
  const auto powers = std::min(degree, counts.size(0) - 1) + 1;
  std::vector<Tensor> columns;
  for (std::int64_t r = 0; r < powers; ++r)
    columns.push_back(t.pow(r));
  const auto root = p.sqrt().unsqueeze(1);
  const auto orthonormal = std::get<0>(at::linalg_qr(torch::stack(columns, 1) * root)) / root;
  return orthonormal.slice(1, 1);
}

/// What the numbers of one variable add to its logits: float64 [K_i, C_i].
Tensor to_logits(const Tensor& counts, const Tensor& ordered, std::int64_t degree) {
  const auto K = counts.size(0);
  const auto scale = ordered.nonzero().flatten(),
             others = ordered.logical_not().nonzero().flatten();
  if (scale.size(0) < 2) return torch::eye(K, torch::kDouble).slice(1, 1);
  const auto curves = polynomials(counts.index_select(0, scale), degree);
  auto logits = torch::zeros({K, curves.size(1) + others.size(0)}, torch::kDouble);
  logits.slice(1, 0, curves.size(1)).index_copy_(0, scale, curves);
  for (std::int64_t n = 0; n < others.size(0); ++n)
    logits[others[n].item<std::int64_t>()][curves.size(1) + n] = 1;
  return logits;
}

}  // namespace

Tensor scale_basis(const StateSpace& space, const Tensor& counts, const Tensor& ordered,
                   std::int64_t degree) {
  const auto D = space.dimension(), K = space.levels();
  std::vector<Tensor> rows;
  for (std::int64_t i = 0; i < D; ++i) {
    const auto levels = space.cardinalities[std::size_t(i)];
    const auto logits =
        to_logits(counts[i].slice(0, 0, levels), ordered[i].slice(0, 0, levels), degree);
    auto own = torch::zeros({logits.size(1), D, K - 1}, torch::kDouble);
    own.select(1, i).slice(1, 0, levels - 1).copy_((logits.slice(0, 1) - logits[0]).t());
    rows.push_back(own.flatten(1));
  }
  return torch::cat(rows);
}

}  // namespace marginalia::mixture
