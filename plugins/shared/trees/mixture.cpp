#include "mixture.h"

#include <torch/types.h>

namespace marginalia::trees {
namespace {

/// of_tree: of each row, float64 [B]  ->  [B, M].
template <class Function>
Tensor side_by_side(const std::vector<Tree>& trees, std::int64_t rows, const Function& of_tree) {
  auto out = torch::empty({rows, std::int64_t(trees.size())}, torch::kDouble);
  for (std::size_t m = 0; m < trees.size(); ++m)
    out.select(1, std::int64_t(m)).copy_(of_tree(trees[m]));
  return out;
}

/// States [B, D] of which the rows of a chosen tree are complete(tree, their indices).
template <class Complete>
Tensor by_chosen(const std::vector<Tree>& trees, const Tensor& partial, const Tensor& chosen,
                 const Complete& complete) {
  auto out = torch::empty_like(partial);
  const auto used = std::get<0>(at::_unique2(chosen));  // ascending: draws do not depend on chance
  for (std::int64_t n = 0; n < used.numel(); ++n) {
    const auto rows = (chosen == used[n]).nonzero().squeeze(1);
    out.index_put_({rows}, complete(trees[std::size_t(used[n].item<std::int64_t>())], rows));
  }
  return out;
}

}  // namespace

Tensor log_marginals(const std::vector<Tree>& trees, const Evidence& known) {
  return side_by_side(trees, known.rows(),
                      [&](const Tree& tree) { return log_marginal(tree, known); });
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
  return by_chosen(trees, known.partial, chosen, [&](const Tree& tree, const Tensor& rows) {
    return sample(tree, known.of_rows(rows), stream);
  });
}

Tensor log_greatest(const std::vector<Tree>& trees, const Tensor& partial) {
  return side_by_side(trees, partial.size(0),
                      [&](const Tree& tree) { return log_greatest(tree, partial); });
}

Tensor most_probable(const std::vector<Tree>& trees, const Tensor& partial, const Tensor& chosen) {
  return by_chosen(trees, partial, chosen, [&](const Tree& tree, const Tensor& rows) {
    return most_probable(tree, partial.index_select(0, rows));
  });
}

}  // namespace marginalia::trees
