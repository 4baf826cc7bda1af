#include "elimination_order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <utility>

namespace marginalia {
namespace {

/// Sets of variables as bits: who shares a factor, or a message, with whom.
class EliminationGraph {
 public:
  EliminationGraph(std::int64_t dimension, const std::vector<std::vector<std::int64_t>>& scopes,
                   const std::vector<bool>& unknown)
      : words_((std::size_t(dimension) + 63) / 64),
        bits_(std::size_t(dimension), std::vector<std::uint64_t>(words_)) {
    for (const auto& scope : scopes)
      for (const auto i : scope)
        for (const auto j : scope)
          if (i != j && unknown[std::size_t(i)] && unknown[std::size_t(j)]) connect(i, j);
  }

  std::vector<std::int64_t> neighbours(std::int64_t i) const {
    std::vector<std::int64_t> found;
    for (std::size_t w = 0; w < words_; ++w)
      for (auto rest = row(i)[w]; rest != 0; rest &= rest - 1)
        found.push_back(std::int64_t(w) * 64 + std::countr_zero(rest));
    return found;
  }

  /// Pairs of neighbours of i that are not neighbours of each other, times two.
  std::int64_t fill(std::int64_t i, const std::vector<std::int64_t>& neighbours) const {
    std::int64_t missing = 0;
    for (const auto j : neighbours)
      for (std::size_t w = 0; w < words_; ++w)
        missing += std::popcount(row(i)[w] & ~row(j)[w]);
    return missing - std::int64_t(neighbours.size());  // j is not its own neighbour
  }

  /// The same pairs, each counted as the product of its cardinalities.
  double weighted_fill(std::int64_t i, const std::vector<std::int64_t>& neighbours,
                       const std::vector<std::int64_t>& cardinalities) const {
    double total = 0;
    for (const auto j : neighbours)
      for (std::size_t w = 0; w < words_; ++w)
        for (auto rest = row(i)[w] & ~row(j)[w]; rest != 0; rest &= rest - 1) {
          const auto k = std::int64_t(w) * 64 + std::countr_zero(rest);
          if (k != j)
            total += double(cardinalities[std::size_t(j)] * cardinalities[std::size_t(k)]);
        }
    return total;
  }

  void eliminate(std::int64_t i, const std::vector<std::int64_t>& neighbours) {
    for (const auto j : neighbours) {
      for (std::size_t w = 0; w < words_; ++w)
        row(j)[w] |= row(i)[w];
      clear(j, j);
      clear(j, i);
    }
  }

 private:
  std::vector<std::uint64_t>& row(std::int64_t i) { return bits_[std::size_t(i)]; }
  const std::vector<std::uint64_t>& row(std::int64_t i) const { return bits_[std::size_t(i)]; }
  void connect(std::int64_t i, std::int64_t j) {
    row(i)[std::size_t(j) / 64] |= std::uint64_t{1} << (j % 64);
  }
  void clear(std::int64_t i, std::int64_t j) {
    row(i)[std::size_t(j) / 64] &= ~(std::uint64_t{1} << (j % 64));
  }

  std::size_t words_;
  std::vector<std::vector<std::uint64_t>> bits_;
};

/// How soon a variable should go: least first.
struct Urgency {
  double fill = 0;
  double message = 0;  // log of the entries of its message
  double tie = 0;
  auto operator<=>(const Urgency&) const = default;
};

/// One greedy pass. Seed 0 breaks ties by the variable's number; odd seeds count edges by weight.
class Greedy {
 public:
  Greedy(EliminationGraph graph, const std::vector<std::int64_t>& cardinalities,
         const std::vector<bool>& unknown, std::uint64_t seed)
      : graph_(std::move(graph)),
        cardinalities_(cardinalities),
        weighted_(seed % 2 == 1),
        scores_(unknown.size()) {
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < unknown.size(); ++i) {
      if (!unknown[i]) continue;
      scores_[i].tie = seed == 0 ? 0 : std::uniform_real_distribution<>()(random);
      rescore(std::int64_t(i));
    }
  }

  /// Gives up once `most` entries or products are exceeded.
  EliminationOrder order(double most, double most_products) {
    EliminationOrder result;
    while (!queue_.empty()) {
      const auto i = queue_.begin()->second;
      const auto around = graph_.neighbours(i);
      const auto entries = std::exp(scores_[std::size_t(i)].message);
      result.variables.push_back(i);
      result.cost.width = std::max(result.cost.width, std::int64_t(around.size()));
      result.cost.entries += entries;
      result.cost.products += entries * double(cardinalities_[std::size_t(i)]);
      if (result.cost.entries > most || result.cost.products > most_products) {
        result.cost.complete = false;
        break;
      }
      graph_.eliminate(i, around);
      queue_.erase({scores_[std::size_t(i)], i});
      rescore_around(around);
    }
    return result;
  }

 private:
  void rescore(std::int64_t i) {
    const auto around = graph_.neighbours(i);
    auto score = scores_[std::size_t(i)];
    score.fill = weighted_ ? graph_.weighted_fill(i, around, cardinalities_)
                           : double(graph_.fill(i, around));
    score.message = 0;
    for (const auto j : around)
      score.message += std::log(double(cardinalities_[std::size_t(j)]));
    queue_.erase({scores_[std::size_t(i)], i});
    scores_[std::size_t(i)] = score;
    queue_.emplace(score, i);
  }

  /// New edges lie among `around`: fill changes there and at their neighbours.
  void rescore_around(const std::vector<std::int64_t>& around) {
    auto touched = around;
    for (const auto j : around)
      for (const auto k : graph_.neighbours(j))
        touched.push_back(k);
    std::ranges::sort(touched);
    touched.erase(std::ranges::unique(touched).begin(), touched.end());
    for (const auto i : touched)
      rescore(i);
  }

  EliminationGraph graph_;
  const std::vector<std::int64_t>& cardinalities_;
  bool weighted_;
  std::vector<Urgency> scores_;
  std::set<std::pair<Urgency, std::int64_t>> queue_;  // of those that are left
};

constexpr double kNoLimit = std::numeric_limits<double>::infinity();
constexpr double kCheap = 1 << 16;  // entries below which no better order is looked for
constexpr double kHopeless = 1e18;  // entries at which the search for an order ends
constexpr double kTooHeavy = double(std::int64_t{1} << 33);  // entries that few orders may mend
constexpr double kProductsOfTry = 1 << 22;  // that take about as long as another order
constexpr double kTries = 24, kMoreTries = 2500;
constexpr double kHeavyTries = 150;   // where the best is too heavy
constexpr std::size_t kSmall = 1500;  // variables up to which other ties are tried

/// How many orders are worth trying where the best so far is this.
double tries(const EliminationOrder& best) {
  const auto& cost = best.cost;
  if (cost.entries <= kCheap) return 0;
  if (cost.entries > kTooHeavy) return kHeavyTries;
  return std::clamp(cost.products / kProductsOfTry, kTries, kMoreTries);
}

}  // namespace

EliminationOrder min_fill(const std::vector<std::int64_t>& cardinalities,
                          const std::vector<std::vector<std::int64_t>>& scopes,
                          const std::vector<bool>& unknown) {
  const EliminationGraph graph(std::int64_t(cardinalities.size()), scopes, unknown);
  const auto attempt = [&](std::uint64_t seed, double most_products) {
    return Greedy(graph, cardinalities, unknown, seed).order(kHopeless, most_products);
  };
  auto best = attempt(0, kNoLimit);
  if (best.variables.size() > kSmall || !best.cost.complete) return best;
  for (int seed = 1; seed <= tries(best); ++seed) {
    auto other = attempt(std::uint64_t(seed), best.cost.products);
    if (other.cost.complete && other.cost.products < best.cost.products) best = std::move(other);
  }
  return best;
}

EliminationOrder whole_order(const std::vector<std::int64_t>& cardinalities,
                             const std::vector<std::vector<std::int64_t>>& scopes, int tries) {
  const std::vector<bool> all(cardinalities.size(), true);
  const EliminationGraph graph(std::int64_t(all.size()), scopes, all);
  auto best = Greedy(graph, cardinalities, all, 0).order(kNoLimit, kNoLimit);
  for (int seed = 1; seed < tries; ++seed) {
    auto other =
        Greedy(graph, cardinalities, all, std::uint64_t(seed)).order(best.cost.entries, kNoLimit);
    if (other.cost.complete && other.cost.entries < best.cost.entries) best = std::move(other);
  }
  return best;
}

EliminationCost greedy_cost(const std::vector<std::int64_t>& cardinalities,
                            const std::vector<std::vector<std::int64_t>>& scopes, double most) {
  const std::vector<bool> all(cardinalities.size(), true);
  return Greedy({std::int64_t(all.size()), scopes, all}, cardinalities, all, 0)
      .order(most, kNoLimit)
      .cost;
}

}  // namespace marginalia
