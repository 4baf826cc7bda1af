#include "allowed_state.h"

#include <algorithm>
#include <cmath>

namespace marginalia::elimination {

AllowedState::AllowedState(const FactorModel& model, std::uint64_t seed)
    : model_(model), of_(model.cardinalities.size()), left_(model.cardinalities), random_(seed) {
  for (const auto K : model.cardinalities)
    alive_.emplace_back(std::size_t(K), 1);
  for (const auto& factor : model.factors) {
    if (std::ranges::find(factor.log_values, -INFINITY) == factor.log_values.end()) continue;
    auto& rows = allowed_.emplace_back();
    for (std::size_t entry = 0; entry < factor.log_values.size(); ++entry) {
      if (factor.log_values[entry] == -INFINITY) continue;
      const auto first = rows.size();
      rows.resize(first + factor.scope.size());
      auto rest = std::int64_t(entry);
      for (auto s = factor.scope.size(); s-- > 0;) {
        const auto K = model.cardinalities[std::size_t(factor.scope[s])];
        rows[first + s] = std::int32_t(rest % K);
        rest /= K;
      }
    }
    for (const auto i : factor.scope)
      of_[std::size_t(i)].push_back(constraints_.size());
    constraints_.push_back(&factor);
  }
  conflicts_.assign(constraints_.size(), 1);
  queued_.assign(constraints_.size(), 0);
}

void AllowedState::strike(std::int64_t variable, std::int64_t value) {
  const auto i = std::size_t(variable);
  alive_[i][std::size_t(value)] = 0;
  --left_[i];
  trail_.push_back({variable, value});
  for (const auto c : of_[i]) {
    if (queued_[c]) continue;
    queued_[c] = 1;
    queue_.push_back(c);
  }
}

bool AllowedState::fix(std::int64_t variable, std::int64_t value) {
  const auto& alive = alive_[std::size_t(variable)];
  for (std::size_t k = 0; k < alive.size(); ++k)
    if (alive[k] && std::int64_t(k) != value) strike(variable, std::int64_t(k));
  return propagate();
}

/// Strikes out what a constraint does not support; false where a variable has no value left.
bool AllowedState::revise(std::size_t constraint) {
  const auto& scope = constraints_[constraint]->scope;
  const auto& rows = allowed_[constraint];
  std::vector<std::vector<char>> supported;
  std::int64_t missing = 0;
  for (const auto i : scope) {
    supported.emplace_back(alive_[std::size_t(i)].size(), 0);
    missing += left_[std::size_t(i)];
  }
  for (std::size_t row = 0; row < rows.size() && missing > 0; row += scope.size()) {
    bool possible = true;
    for (std::size_t s = 0; s < scope.size() && possible; ++s)
      possible = alive_[std::size_t(scope[s])][std::size_t(rows[row + s])];
    for (std::size_t s = 0; s < scope.size() && possible; ++s) {
      auto& seen = supported[s][std::size_t(rows[row + s])];
      missing -= !seen;
      seen = 1;
    }
  }
  if (missing == 0) return true;
  for (std::size_t s = 0; s < scope.size(); ++s)
    for (std::size_t k = 0; k < supported[s].size(); ++k)
      if (alive_[std::size_t(scope[s])][k] && !supported[s][k]) strike(scope[s], std::int64_t(k));
  return left_[std::size_t(scope[0])] > 0;  // all lose every value, or none does
}

bool AllowedState::propagate() {
  while (!queue_.empty()) {
    const auto c = queue_.back();
    queue_.pop_back();
    const bool possible = revise(c);
    queued_[c] = 0;
    if (possible) continue;
    ++conflicts_[c];
    for (const auto other : queue_)
      queued_[other] = 0;
    queue_.clear();
    return false;
  }
  return true;
}

void AllowedState::undo(std::size_t to) {
  for (; trail_.size() > to; trail_.pop_back()) {
    const auto i = std::size_t(trail_.back().variable);
    alive_[i][std::size_t(trail_.back().value)] = 1;
    ++left_[i];
  }
}

/// The open variable of fewest values by conflicts; -1 where all are fixed.
std::int64_t AllowedState::choose() {
  std::int64_t best = -1;
  double least = INFINITY;
  for (std::size_t i = 0; i < left_.size(); ++i) {
    if (left_[i] < 2) continue;
    double weight = 1e-3 * std::uniform_real_distribution<>()(random_);
    for (const auto c : of_[i])
      weight += conflicts_[c];
    const auto score = double(left_[i]) / weight;
    if (score >= least) continue;
    least = score;
    best = std::int64_t(i);
  }
  return best;
}

AllowedState::End AllowedState::search(const std::int64_t* x, const std::function<bool()>& stop) {
  const auto i = choose();
  if (i < 0) return End::kFound;
  const auto mark = trail_.size();
  const auto& alive = alive_[std::size_t(i)];
  auto k = x[i];
  if (!alive[std::size_t(k)]) k = std::ranges::find(alive, char(1)) - alive.begin();
  if (fix(i, k))
    if (const auto end = search(x, stop); end != End::kNone) return end;
  undo(mark);
  if (++failures_ > most_failures_ || stop()) return End::kRestart;
  strike(i, k);
  return propagate() ? search(x, stop) : End::kNone;
}

bool AllowedState::find(std::int64_t* x, const std::function<bool()>& stop) {
  constexpr double kPatience = 1.3;  // failures until the next restart, by those until this
  for (; !stop(); most_failures_ = std::int64_t(kPatience * double(most_failures_))) {
    failures_ = 0;
    const auto end = search(x, stop);
    if (end == End::kFound)
      for (std::size_t i = 0; i < alive_.size(); ++i)
        if (!alive_[i][std::size_t(x[i])])
          x[i] = std::ranges::find(alive_[i], char(1)) - alive_[i].begin();
    undo(0);
    if (end != End::kRestart) return end == End::kFound;
  }
  return false;
}

}  // namespace marginalia::elimination
