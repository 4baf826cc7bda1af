#include "by_elimination.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <vector>

#include <fmt/format.h>

namespace marginalia {
namespace {

/// Whether a factor leaves its one variable a single value, which then is no unknown.
bool clamps(const Factor& factor) {
  return factor.scope.size() == 1 &&
         std::ranges::count_if(factor.log_values, [](double v) { return v > -INFINITY; }) == 1;
}

/// Sums variables out in the order of the smallest message, of which only the sizes are known.
class SmallestFirst {
 public:
  explicit SmallestFirst(const FactorModel& model) : model_(model), around_(count()) {
    std::vector<bool> known(count());
    for (const auto& factor : model.factors)
      if (clamps(factor)) known[std::size_t(factor.scope[0])] = true;
    for (const auto& factor : model.factors)
      for (const auto i : factor.scope)
        for (const auto j : factor.scope)
          if (i != j && !known[std::size_t(i)] && !known[std::size_t(j)])
            around_[std::size_t(i)].push_back(j);
    for (std::size_t i = 0; i < count(); ++i) {
      auto& list = around_[i];
      std::ranges::sort(list);
      list.erase(std::ranges::unique(list).begin(), list.end());
      if (!known[i]) queue_.emplace(size(i), i);
    }
  }

  /// Whether all messages together have at most `most` entries. Stops where they have more.
  bool fits(double most) {
    for (double entries = 0; !queue_.empty();) {
      const auto [log_entries, i] = *queue_.begin();
      entries += std::exp(log_entries);
      if (entries > most) return false;
      queue_.erase(queue_.begin());
      eliminate(i);
    }
    return true;
  }

 private:
  std::size_t count() const { return model_.cardinalities.size(); }
  double size(std::size_t i) const {
    double sum = 0;
    for (const auto j : around_[i])
      sum += std::log(double(model_.cardinalities[std::size_t(j)]));
    return sum;
  }

  void eliminate(std::size_t i) {
    const auto around = std::move(around_[i]);
    for (const auto neighbour : around) {
      const auto j = std::size_t(neighbour);
      queue_.erase({size(j), j});
      std::vector<std::int64_t> together;
      std::ranges::set_union(around_[j], around, std::back_inserter(together));
      std::erase_if(together, [&](auto k) { return k == neighbour || k == std::int64_t(i); });
      around_[j] = std::move(together);
      queue_.emplace(size(j), j);
    }
  }

  const FactorModel& model_;
  std::vector<std::vector<std::int64_t>> around_;   // sorted
  std::set<std::pair<double, std::size_t>> queue_;  // log entries of its message, variable
};

}  // namespace

// The order that Elimination looks for takes minutes on wide graphs; this one, seconds.
Offer<Oracle> ByElimination::oracle(const FactorModel& model, const StateSpace& space) const {
  std::call_once(planned_, [&] {
    if (!SmallestFirst(model).fits(bytes_ / (2 * sizeof(double)))) {
      obstacle_ = fmt::format("its graph is too wide for variable elimination in {:.3g} GiB",
                              bytes_ / (1 << 30));
      return;
    }
    elimination_ = std::make_unique<Elimination>(model, space);
    obstacle_ = elimination_->obstacle(bytes_);
  });
  if (!obstacle_.empty()) return Offer<Oracle>::none(obstacle_);
  return {elimination_.get()};
}

}  // namespace marginalia
