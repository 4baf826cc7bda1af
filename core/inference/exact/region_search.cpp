#include "region_search.h"

#include <algorithm>

#include <marginalia/state_space.h>

#include "elimination_max.h"

namespace marginalia::elimination {

RegionSearch::RegionSearch(const FactorModel& model, std::uint64_t seed)
    : model_(model), neighbours_(find_neighbours(model)), random_(seed) {}

/// Variables around a random one, the nearest first, by chance among those as near: [D].
std::vector<bool> RegionSearch::region() {
  const auto D = model_.cardinalities.size();
  std::vector<bool> in(D);
  std::vector<std::int64_t> found{std::int64_t(random_() % D)};
  in[std::size_t(found[0])] = true;
  for (std::size_t n = 0; n < found.size() && double(found.size()) < size_; ++n) {
    auto around = neighbours_[std::size_t(found[n])];
    std::ranges::shuffle(around, random_);
    for (const auto i : around) {
      if (in[std::size_t(i)] || double(found.size()) >= size_) continue;
      in[std::size_t(i)] = true;
      found.push_back(i);
    }
  }
  return in;
}

void RegionSearch::improve(std::vector<std::int64_t>& x, const std::function<bool()>& stop) {
  constexpr double kEasy = 1 << 16, kMost = 1 << 20;  // entries of messages
  constexpr double kGrow = 1.05, kShrink = 0.8;
  while (!stop()) {
    const auto unknown = region();
    const auto plan = elimination_plan(model_, unknown);
    const bool easy = plan.cost.complete && plan.cost.entries <= kEasy;
    size_ = std::clamp(size_ * (easy ? kGrow : kShrink), 4.0, double(x.size()));
    if (!plan.cost.complete || plan.cost.entries > kMost) continue;
    auto known = x;
    for (std::size_t i = 0; i < known.size(); ++i)
      if (unknown[i]) known[i] = kUnknown;
    Maxima(model_, plan, known).complete(x.data());
  }
}

}  // namespace marginalia::elimination
