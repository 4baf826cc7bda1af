#include "mixture.h"

#include <torch/types.h>

namespace marginalia::trees {

Tensor log_marginals(const std::vector<Tree>& trees, const Evidence& known) {
  auto out = torch::empty({known.rows(), std::int64_t(trees.size())}, torch::kDouble);
  for (std::size_t m = 0; m < trees.size(); ++m)
    out.select(1, std::int64_t(m)).copy_(log_marginal(trees[m], known));
  return out;
}

Tensor mean_conditionals(const std::vector<Tree>& trees, const Evidence& known,
                         const Tensor& weight) {
  Tensor sum;
  for (std::size_t m = 0; m < trees.size(); ++m) {
    const auto p = log_conditionals(trees[m], known).exp_();
    const auto of_tree = p.mul_(weight.select(1, std::int64_t(m)).view({-1, 1, 1}));
    sum = sum.defined() ? sum.add_(of_tree) : of_tree;
  }
  return sum;
}

Tensor sample(const std::vector<Tree>& trees, const Evidence& known, const Tensor& chosen,
              Stream& stream) {
  auto out = torch::empty_like(known.partial);
  const auto used = std::get<0>(at::_unique2(chosen));  // ascending: draws do not depend on chance
  for (std::int64_t n = 0; n < used.numel(); ++n) {
    const auto rows = (chosen == used[n]).nonzero().squeeze(1);
    const auto& tree = trees[std::size_t(used[n].item<std::int64_t>())];
    out.index_put_({rows}, sample(tree, known.of_rows(rows), stream));
  }
  return out;
}

}  // namespace marginalia::trees
