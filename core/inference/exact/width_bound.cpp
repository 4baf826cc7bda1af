#include <algorithm>
#include <set>

#include "elimination_order.h"

namespace marginalia {
namespace {

/// A graph whose edges are contracted one by one.
class Minor {
 public:
  Minor(std::size_t dimension, const std::vector<std::vector<std::int64_t>>& scopes,
        const std::vector<bool>& unknown)
      : around_(dimension) {
    for (const auto& scope : scopes)
      for (const auto i : scope)
        for (const auto j : scope)
          if (i != j && unknown[std::size_t(i)] && unknown[std::size_t(j)])
            around_[std::size_t(i)].insert(j);
    for (std::size_t i = 0; i < dimension; ++i)
      if (unknown[i]) queue_.emplace(around_[i].size(), std::int64_t(i));
  }

  bool empty() const { return queue_.empty(); }

  /// Contracts the vertex of least degree into the neighbour that it shares fewest others with.
  /// -> that degree
  std::int64_t contract() {
    const auto i = queue_.begin()->second;
    const auto around = around_[std::size_t(i)];
    const auto into = around.empty() ? -1 : least_common(around);
    remove(i);
    for (const auto j : around)
      if (j != into) join(into, j);
    return std::int64_t(around.size());
  }

 private:
  std::int64_t least_common(const std::set<std::int64_t>& around) const {
    const auto common = [&](std::int64_t j) {
      return std::ranges::count_if(around,
                                   [&](auto k) { return around_[std::size_t(j)].contains(k); });
    };
    return *std::ranges::min_element(around, {}, common);
  }
  template <class Change>
  void change(std::int64_t i, const Change& change) {
    auto& around = around_[std::size_t(i)];
    queue_.erase({around.size(), i});
    change(around);
    queue_.emplace(around.size(), i);
  }
  void join(std::int64_t i, std::int64_t j) {
    change(i, [&](auto& around) { around.insert(j); });
    change(j, [&](auto& around) { around.insert(i); });
  }
  void remove(std::int64_t i) {
    queue_.erase({around_[std::size_t(i)].size(), i});
    for (const auto j : around_[std::size_t(i)])
      change(j, [&](auto& around) { around.erase(i); });
    around_[std::size_t(i)].clear();
  }

  std::vector<std::set<std::int64_t>> around_;
  std::set<std::pair<std::size_t, std::int64_t>> queue_;  // by degree
};

}  // namespace

std::int64_t least_width(std::size_t dimension,
                         const std::vector<std::vector<std::int64_t>>& scopes,
                         const std::vector<bool>& unknown) {
  Minor minor(dimension, scopes, unknown);
  std::int64_t width = 0;
  while (!minor.empty())
    width = std::max(width, minor.contract());
  return width;
}

}  // namespace marginalia
