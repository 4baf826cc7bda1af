#include "local_search.h"

#include <algorithm>
#include <cmath>

#include <marginalia/inference/conditioning.h>

namespace marginalia::elimination {
namespace {

constexpr double kFirstLoss = 10, kMoreLoss = 2;  // nats
constexpr double kLeastGain = 1e-12;

double lowest(const std::vector<double>& values) {
  double low = 0;
  for (const auto value : values)
    if (value != -INFINITY) low = std::min(low, value);
  return low;
}

}  // namespace

LocalSearch::LocalSearch(const FactorModel& model, std::uint64_t seed)
    : model_(model),
      places_(model.cardinalities.size()),
      neighbours_(find_neighbours(model)),
      entries_(model.factors.size()),
      x_(model.cardinalities.size()),
      choice_(model.cardinalities.size()),
      gain_(model.cardinalities.size()),
      random_(seed) {
  for (std::size_t a = 0; a < model.factors.size(); ++a) {
    const auto& scope = model.factors[a].scope;
    std::int64_t stride = 1;
    for (auto s = scope.size(); s-- > 0; stride *= model.cardinalities[std::size_t(scope[s])])
      places_[std::size_t(scope[s])].push_back({a, stride});
    loss_.push_back(lowest(model.factors[a].log_values) - kFirstLoss);
  }
}

double LocalSearch::weighed(std::size_t factor, std::int64_t entry) const {
  const auto value = model_.factors[factor].log_values[std::size_t(entry)];
  return value == -INFINITY ? loss_[factor] : value;
}

void LocalSearch::rescore(std::int64_t variable) {
  const auto i = std::size_t(variable);
  gain_[i] = -INFINITY;
  for (std::int64_t k = 0; k < model_.cardinalities[i]; ++k) {
    if (k == x_[i]) continue;
    double gain = 0;
    for (const auto& [a, stride] : places_[i])
      gain += weighed(a, entries_[a] + stride * (k - x_[i])) - weighed(a, entries_[a]);
    if (gain <= gain_[i]) continue;
    gain_[i] = gain;
    choice_[i] = k;
  }
}

void LocalSearch::start(const std::int64_t* x) {
  std::copy(x, x + x_.size(), x_.begin());
  std::ranges::fill(entries_, 0);
  for (std::size_t i = 0; i < x_.size(); ++i)
    for (const auto& [a, stride] : places_[i])
      entries_[a] += stride * x_[i];
  log_density_ = 0;
  forbidden_ = 0;
  for (std::size_t a = 0; a < entries_.size(); ++a) {
    const auto value = model_.factors[a].log_values[std::size_t(entries_[a])];
    if (value == -INFINITY)
      ++forbidden_;
    else
      log_density_ += value;
  }
  for (std::size_t i = 0; i < x_.size(); ++i)
    rescore(std::int64_t(i));
}

void LocalSearch::set(std::int64_t variable, std::int64_t k) {
  const auto i = std::size_t(variable);
  for (const auto& [a, stride] : places_[i]) {
    const auto& values = model_.factors[a].log_values;
    const auto before = values[std::size_t(entries_[a])];
    entries_[a] += stride * (k - x_[i]);
    const auto after = values[std::size_t(entries_[a])];
    forbidden_ += std::int64_t(after == -INFINITY) - std::int64_t(before == -INFINITY);
    log_density_ += (after == -INFINITY ? 0 : after) - (before == -INFINITY ? 0 : before);
  }
  x_[i] = k;
  rescore(variable);
  for (const auto j : neighbours_[i])
    rescore(j);
}

/// The variable whose change gains most; one of them at random.
std::int64_t LocalSearch::best_variable() {
  std::int64_t best = 0, equal = 0;
  for (std::size_t i = 0; i < gain_.size(); ++i) {
    if (gain_[i] < gain_[std::size_t(best)]) continue;
    equal = gain_[i] > gain_[std::size_t(best)] ? 1 : equal + 1;
    if (random_() % std::uint64_t(equal) == 0) best = std::int64_t(i);
  }
  return best;
}

/// Makes what is forbidden at x heavier; false where nothing is.
bool LocalSearch::weigh_forbidden() {
  if (forbidden_ == 0) return false;
  for (std::size_t a = 0; a < entries_.size(); ++a) {
    if (model_.factors[a].log_values[std::size_t(entries_[a])] != -INFINITY) continue;
    loss_[a] -= kMoreLoss;
    for (const auto i : model_.factors[a].scope)
      rescore(i);
  }
  return true;
}

void LocalSearch::shake() {
  const auto D = std::uint64_t(x_.size());
  const auto most = std::max<std::uint64_t>(2, D / 20);
  for (auto n = 1 + random_() % most; n-- > 0;) {
    const auto i = std::size_t(random_() % D);
    if (model_.cardinalities[i] < 2) continue;
    const auto K = std::uint64_t(model_.cardinalities[i]);
    set(std::int64_t(i), std::int64_t((std::uint64_t(x_[i]) + 1 + random_() % (K - 1)) % K));
  }
}

double LocalSearch::improve(std::int64_t* x, std::int64_t moves, double enough,
                            const std::function<bool()>& stop) {
  constexpr std::int64_t kMovesBetweenLooks = 256;
  start(x);
  auto best = forbidden_ > 0 ? -INFINITY : log_density_;
  for (std::int64_t move = 0; move < moves && best < enough - kLeastGain; ++move) {
    if (move % kMovesBetweenLooks == 0 && stop()) break;
    const auto i = best_variable();
    if (gain_[std::size_t(i)] > kLeastGain) {
      set(i, choice_[std::size_t(i)]);
    } else if (!weigh_forbidden()) {
      if (log_density_ < best - kLeastGain) start(x);
      shake();
    }
    if (forbidden_ > 0 || log_density_ <= best + kLeastGain) continue;
    best = log_density_;
    std::ranges::copy(x_, x);
  }
  return best;
}

}  // namespace marginalia::elimination
