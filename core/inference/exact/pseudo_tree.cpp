#include "pseudo_tree.h"

#include <algorithm>

namespace marginalia::elimination {

PseudoTree::PseudoTree(const FactorModel& model, std::vector<std::int64_t> of)
    : order(std::move(of)),
      position(order.size()),
      parent(order.size(), -1),
      children(order.size()),
      context(order.size()),
      factors(order.size()) {
  for (std::size_t n = 0; n < order.size(); ++n)
    position[std::size_t(order[n])] = std::int64_t(n);
  const auto sooner = [&](std::int64_t a, std::int64_t b) {
    return position[std::size_t(a)] < position[std::size_t(b)];
  };
  for (std::size_t a = 0; a < model.factors.size(); ++a)
    if (const auto& scope = model.factors[a].scope; !scope.empty())
      factors[std::size_t(*std::ranges::min_element(scope, sooner))].push_back(a);
  for (const auto i : order) {
    auto& above = context[std::size_t(i)];
    for (const auto a : factors[std::size_t(i)])
      above.insert(above.end(), model.factors[a].scope.begin(), model.factors[a].scope.end());
    for (const auto child : children[std::size_t(i)])
      above.insert(above.end(), context[std::size_t(child)].begin(),
                   context[std::size_t(child)].end());
    std::ranges::sort(above, sooner);
    above.erase(std::ranges::unique(above).begin(), above.end());
    std::erase(above, i);
    if (above.empty()) {
      roots.push_back(i);
      continue;
    }
    parent[std::size_t(i)] = above[0];
    children[std::size_t(above[0])].push_back(i);
  }
}

}  // namespace marginalia::elimination
