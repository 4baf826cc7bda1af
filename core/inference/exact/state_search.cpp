#include "state_search.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "allowed_state.h"
#include "and_or_search.h"
#include "local_search.h"
#include "max_marginals.h"
#include "region_search.h"

namespace marginalia::elimination {
namespace {

constexpr double kGiB = 1 << 30;
constexpr double kSlack = 1e-12;                      // of a bound, of its size
constexpr double kMostRounds = 500, kLevelled = 1e8;  // rounds of max-marginals, and their entries
constexpr std::int64_t kFirstMoves = 1000, kMoves = 5000;  // of local search
constexpr int kDives = 200;
constexpr double kLeastBucket = 1 << 12, kBucketsGrow = 16;  // entries of a message; by a pass

}  // namespace

/// One search, pass after pass.
class StateSearch::Impl {
 public:
  Impl(const FactorModel& model, const std::function<double()>& left)
      : model_(model), left_(left), local_(model, 1), regions_(model, 1), random_(1) {
    result_.x.assign(model.cardinalities.size(), 0);
    result_.upper = sum_of_maxima(model);
    const auto moves = kFirstMoves + 4 * std::ssize(model.cardinalities);
    result_.log_density = local_.improve(result_.x.data(), moves, result_.upper, until(0));
  }

  bool proved() const {
    return result_.upper <= result_.log_density + kSlack * (1 + std::abs(result_.upper));
  }
  SearchedState result() const {
    auto result = result_;
    if (proved()) result.upper = result.log_density;
    return result;
  }

  void run(double memory) {
    if (result_.log_density == -INFINITY) allow();
    if (proved() || result_.upper == -INFINITY || left_() <= 0) return;
    const auto levels = levelled(model_, rounds());
    bound(sum_of_maxima(levels));
    if (left_() <= 0) return;
    const PseudoTree tree(levels, order());
    for (double most = kLeastBucket; !proved() && left_() > 0; most *= kBucketsGrow) {
      const bool last = bytes(tree, most * kBucketsGrow) > 0.5 * memory * kGiB;
      const MiniBuckets bounds(levels, tree, most);
      bound(bounds.upper());
      AndOrSearch search(levels, tree, bounds, until(last ? 0 : 0.75 * left_()), 0.25 * memory);
      dive(search);
      reoptimise(0.2 * left_());
      prove(search);
      if (last && !proved()) return;
    }
  }

 private:
  /// Whether less than `seconds` are left.
  std::function<bool()> until(double seconds) const {
    return [this, seconds] { return left_() <= seconds; };
  }
  void bound(double upper) { result_.upper = std::min(result_.upper, upper); }
  void take(const std::vector<std::int64_t>& x) {
    const auto value = log_density(model_, x);
    if (value > result_.log_density) {
      result_.x = x;
      result_.log_density = value;
    }
  }

  std::int64_t rounds() const {
    double entries = 1;
    for (const auto& factor : model_.factors)
      entries += double(factor.log_values.size());
    return std::int64_t(std::clamp(kLevelled / entries, 10.0, kMostRounds));
  }

  std::vector<std::int64_t> order() const {
    std::vector<std::vector<std::int64_t>> scopes;
    for (const auto& factor : model_.factors)
      scopes.push_back(factor.scope);
    const auto D = std::int64_t(model_.cardinalities.size());
    const auto tries = std::clamp<std::int64_t>(8000 / D, 2, 24);
    return whole_order(model_.cardinalities, scopes, int(tries)).variables;
  }

  /// Of the messages of mini-buckets, about.
  double bytes(const PseudoTree& tree, double most) const {
    double entries = 0;
    for (const auto& context : tree.context) {
      double size = 1;
      for (const auto i : context)
        size *= double(model_.cardinalities[std::size_t(i)]);
      entries += std::min(size, most);
    }
    return sizeof(double) * entries;
  }

  /// States that the bounds lead to, and what is better around the best of them.
  void dive(AndOrSearch& search) {
    std::vector<std::int64_t> x(result_.x.size());
    for (int n = 0; n < kDives && left_() > 0; ++n)
      if (search.dive(n == 0 ? 0 : 0.01 * std::pow(1.03, n), random_, x.data())) take(x);
    improve(result_.x);
  }
  void improve(std::vector<std::int64_t> x) {
    local_.improve(x.data(), kMoves, result_.upper, until(0));
    take(x);
  }

  /// A state that is not forbidden, where local search found none.
  void allow() {
    auto x = result_.x;
    const auto stop = until(0.5 * left_());
    if (!AllowedState(model_, 1).find(x.data(), stop)) {
      if (!stop()) bound(-INFINITY);
      return;
    }
    take(x);
    improve(x);
  }

  /// Regions of the best state, for some seconds.
  void reoptimise(double seconds) {
    if (proved() || result_.log_density == -INFINITY) return;
    auto x = result_.x;
    regions_.improve(x, until(left_() - seconds));
    take(x);
  }

  void prove(AndOrSearch& search) {
    std::vector<std::int64_t> x(result_.x.size());
    if (search.find(result_.log_density, x.data())) take(x);
    if (!search.stopped()) result_.upper = result_.log_density;
  }

  const FactorModel& model_;
  const std::function<double()>& left_;
  LocalSearch local_;
  RegionSearch regions_;
  std::mt19937_64 random_;
  SearchedState result_{};
};

double log_density(const FactorModel& model, const std::vector<std::int64_t>& x) {
  double total = 0;
  for (const auto& [scope, log_values] : model.factors) {
    std::int64_t entry = 0;
    for (const auto i : scope)
      entry = entry * model.cardinalities[std::size_t(i)] + x[std::size_t(i)];
    total += log_values[std::size_t(entry)];
  }
  return total;
}

StateSearch::StateSearch(const FactorModel& model, const std::function<double()>& left)
    : impl_(std::make_unique<Impl>(model, left)) {}

StateSearch::~StateSearch() = default;

bool StateSearch::proved() const {
  return impl_->proved();
}

void StateSearch::run(double memory) {
  if (!proved()) impl_->run(memory);
}

SearchedState StateSearch::result() const {
  return impl_->result();
}

}  // namespace marginalia::elimination
