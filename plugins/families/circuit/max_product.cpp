#include "max_product.h"

#include <vector>

#include <torch/types.h>

#include <marginalia/state_space.h>

namespace marginalia::circuit {

Tensor max_product(const Tensor& parent, const Tensor& order, const Tensor& log_transition,
                   const Tensor& log_emission, const Tensor& partial) {
  const auto B = partial.size(0), D = partial.size(1);
  const auto up = parent.accessor<std::int64_t, 1>(), at = order.accessor<std::int64_t, 1>();
  std::vector<Tensor> score(static_cast<std::size_t>(D));   // of z_i, with all below it: [B, H]
  std::vector<Tensor> choice(static_cast<std::size_t>(D));  // of z_i by z_parent: int64 [B, H]
  const auto best_x = log_emission.max(2);                  // of an unknown x_i, by z_i
  for (std::int64_t n = D; n-- > 0;) {
    const auto i = at[n];
    const auto x = partial.select(1, i);
    const auto of_x = log_emission[i].t().index_select(0, x.clamp_min(0));  // [B, H]
    const auto local = torch::where((x == marginalia::kUnknown).unsqueeze(1),
                                    std::get<0>(best_x)[i].unsqueeze(0), of_x);
    auto& own = score[std::size_t(i)];
    own = own.defined() ? own + local : local;
    const auto best = (log_transition[i] + own.unsqueeze(1)).max(2);  // over z_i: [B, H]
    choice[std::size_t(i)] = std::get<1>(best);
    if (up[i] < 0) continue;
    auto& above = score[std::size_t(up[i])];
    above = above.defined() ? above + std::get<0>(best) : std::get<0>(best);
  }
  auto states = partial.clone();
  std::vector<Tensor> z(static_cast<std::size_t>(D));
  for (std::int64_t n = 0; n < D; ++n) {
    const auto i = at[n];
    const auto from = up[i] < 0 ? torch::zeros({B}, torch::kLong) : z[std::size_t(up[i])];
    z[std::size_t(i)] = choice[std::size_t(i)].gather(1, from.unsqueeze(1)).squeeze(1);
    const auto likely = std::get<1>(best_x)[i].index_select(0, z[std::size_t(i)]);
    const auto x = partial.select(1, i);
    states.select(1, i).copy_(torch::where(x == marginalia::kUnknown, likely, x));
  }
  return states;
}

}  // namespace marginalia::circuit
