#include <cmath>
#include <tuple>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/single_changes.h>

namespace marginalia {

constexpr std::int64_t kStatesAtOnce = 1 << 15;  // rows of an energy's batch

Tensor conditionals_by_changes(MeteredEnergy& energy, const Tensor& x) {
  const auto& space = energy.energy().space();
  const auto [rows, which, _] = at::unique_dim(x.cpu(), 0, /*sorted=*/true, /*inverse=*/true);
  const auto B = rows.size(0), D = rows.size(1), K = space.levels();
  const auto own = energy.log_density(rows);
  if (own.isinf().any().item<bool>())
    throw Error("labels of single changes met a state that the energy forbids; give it a finite "
                "floor or penalty");
  const auto is_own = rows.unsqueeze(2) == torch::arange(K);  // [B, D, K]
  auto log_f =
      torch::where(is_own, own.view({B, 1, 1}), torch::full({B, D, K}, -INFINITY, own.options()));
  const auto changes = space.possible().logical_and(is_own.logical_not()).nonzero();  // [N, 3]
  for (const auto& part : changes.split(kStatesAtOnce)) {
    const auto b = part.select(1, 0), i = part.select(1, 1), k = part.select(1, 2);
    auto states = rows.index_select(0, b);
    states.index_put_({torch::arange(part.size(0)), i}, k);
    log_f.index_put_({b, i, k}, energy.log_density(states));
  }
  return softmax_levels(log_f).to(torch::kFloat).index_select(0, which);
}

}  // namespace marginalia
