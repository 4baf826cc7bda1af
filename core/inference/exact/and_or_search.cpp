#include "and_or_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace marginalia::elimination {
namespace {

constexpr double kRounding = 1e-12;  // of sums, of their size: what is not more by that is not more

bool exceeds(double value, double above) {
  return value > above + kRounding * (1 + std::abs(value)) || (above == -INFINITY && value > above);
}

/// Whether a context can come again while that of the parent is another.
bool comes_again(const PseudoTree& tree, std::int64_t variable) {
  const auto parent = tree.parent[std::size_t(variable)];
  if (parent < 0) return false;
  return tree.context[std::size_t(variable)].size() < tree.context[std::size_t(parent)].size() + 1;
}

}  // namespace

AndOrSearch::AndOrSearch(const FactorModel& model, const PseudoTree& tree,
                         const MiniBuckets& bounds, std::function<bool()> stop, double kept)
    : model_(model),
      tree_(tree),
      stop_(std::move(stop)),
      local_(tree.order.size()),
      crossing_(tree.order.size()),
      first_(tree.order.size()),
      end_(tree.order.size()),
      keeps_(tree.order.size()),
      kept_(tree.order.size()),
      frames_(tree.order.size()),
      x_(tree.order.size()),
      bytes_left_(kept * (1 << 30)) {
  for (std::size_t i = 0; i < local_.size(); ++i) {
    for (const auto a : tree.factors[i])
      local_[i].push_back(term(model.factors[a].scope, model.factors[a].log_values.data()));
    double states = 1;
    for (const auto j : tree.context[i])
      states *= double(model.cardinalities[std::size_t(j)]);
    keeps_[i] = comes_again(tree, std::int64_t(i)) && states < 9e18;
  }
  for (const auto& message : bounds.messages()) {
    const auto one = term(message.scope, message.values.data());
    const auto to = message.scope.empty() ? -1 : message.scope[0];
    for (auto i = message.from; i >= 0 && i != to; i = tree.parent[std::size_t(i)])
      crossing_[std::size_t(i)].push_back(one);
  }
  for (const auto root : tree.roots)
    number(root);
  state_.resize(tree.order.size());
}

AndOrSearch::Term AndOrSearch::term(const std::vector<std::int64_t>& scope, const double* values) {
  const auto first = slots_.size();
  std::int64_t stride = 1;
  for (auto s = scope.size(); s-- > 0; stride *= model_.cardinalities[std::size_t(scope[s])])
    slots_.push_back({scope[s], stride});
  return {values, first, slots_.size()};
}

/// Gives places to a subtree's variables, side by side.
void AndOrSearch::number(std::int64_t variable) {
  const auto i = std::size_t(variable);
  first_[i] = state_.size();
  state_.push_back(0);
  for (const auto child : tree_.children[i])
    number(child);
  end_[i] = state_.size();
}

double AndOrSearch::at(const Term& term) const {
  std::int64_t entry = 0;
  for (auto s = term.first; s < term.end; ++s)
    entry += slots_[s].stride * x_[std::size_t(slots_[s].variable)];
  return term.values[entry];
}

/// What the subtree of a child comes to at most.
double AndOrSearch::below(std::int64_t child) const {
  double total = 0;
  for (const auto& term : crossing_[std::size_t(child)])
    total += at(term);
  return total;
}

/// What each value of a variable comes to at most.
void AndOrSearch::look_ahead(std::int64_t variable, Frame& frame) {
  const auto i = std::size_t(variable);
  const auto levels = model_.cardinalities[i];
  frame.upper.assign(std::size_t(levels), 0.0);
  frame.below.clear();
  for (std::int64_t k = 0; k < levels; ++k) {
    x_[i] = k;
    auto& upper = frame.upper[std::size_t(k)];
    for (const auto& term : local_[i])
      upper += at(term);
    for (const auto child : tree_.children[i]) {
      frame.below.push_back(upper == -INFINITY ? -INFINITY : below(child));
      upper += frame.below.back();
    }
  }
  frame.values.resize(std::size_t(levels));
  std::iota(frame.values.begin(), frame.values.end(), 0);
  std::ranges::stable_sort(frame.values, [&](auto a, auto b) {
    return frame.upper[std::size_t(a)] > frame.upper[std::size_t(b)];
  });
}

std::uint64_t AndOrSearch::key(std::int64_t variable) const {
  std::uint64_t key = 0;
  for (const auto j : tree_.context[std::size_t(variable)])
    key = key * std::uint64_t(model_.cardinalities[std::size_t(j)]) +
          std::uint64_t(x_[std::size_t(j)]);
  return key;
}

void AndOrSearch::keep(std::int64_t variable, const Found& found) {
  const auto i = std::size_t(variable);
  if (!keeps_[i] || stopped_ || bytes_left_ <= 0) return;
  Kept kept{found.value, {}};
  if (found.exact)
    kept.state.assign(state_.begin() + std::ptrdiff_t(first_[i]),
                      state_.begin() + std::ptrdiff_t(end_[i]));
  bytes_left_ -= 96 + 2 * double(kept.state.size());
  kept_[i].insert_or_assign(key(variable), std::move(kept));
}

AndOrSearch::Found AndOrSearch::solve(std::int64_t variable, double above) {
  const auto i = std::size_t(variable);
  if (keeps_[i])
    if (const auto kept = kept_[i].find(key(variable)); kept != kept_[i].end()) {
      const auto& [value, state] = kept->second;
      if (!exceeds(value, above)) return {value, false};
      if (!state.empty()) {
        std::ranges::copy(state, state_.begin() + std::ptrdiff_t(first_[i]));
        return {value, true};
      }
    }
  const auto found = search(variable, above);
  keep(variable, found);
  return found;
}

/// Value k of a variable, whose subtrees must together exceed `best`.
AndOrSearch::Found AndOrSearch::try_value(std::int64_t variable, std::int64_t k, double best) {
  const auto i = std::size_t(variable);
  const auto& children = tree_.children[i];
  const auto& frame = frames_[i];
  x_[i] = k;
  auto total = frame.upper[std::size_t(k)];
  for (std::size_t c = 0; c < children.size(); ++c) {
    const auto bound = frame.below[std::size_t(k) * children.size() + c];
    const auto found = solve(children[c], best - (total - bound));
    total += found.value - bound;
    if (stopped_ || !found.exact) return {total, false};
  }
  return {total, true};
}

AndOrSearch::Found AndOrSearch::search(std::int64_t variable, double above) {
  constexpr std::int64_t kNodesBetweenLooks = 1 << 10;
  if (++nodes_ % kNodesBetweenLooks == 0 && stop_()) stopped_ = true;
  const auto i = std::size_t(variable);
  auto& frame = frames_[i];
  look_ahead(variable, frame);
  Found found{-INFINITY, false};
  for (const auto k : frame.values) {
    if (stopped_) return found;
    const auto best = found.exact ? found.value : above;
    const auto upper = frame.upper[std::size_t(k)];
    if (!exceeds(upper, best)) {
      if (!found.exact) found.value = std::max(found.value, upper);
      break;
    }
    const auto tried = try_value(variable, k, best);
    if (stopped_) return found;
    if (tried.exact && exceeds(tried.value, best)) {
      found = tried;
      state_[first_[i]] = std::uint16_t(k);
      frame.state.assign(state_.begin() + std::ptrdiff_t(first_[i]),
                         state_.begin() + std::ptrdiff_t(end_[i]));
    } else if (!found.exact) {
      found.value = std::max(found.value, tried.value);
    }
  }
  if (found.exact) std::ranges::copy(frame.state, state_.begin() + std::ptrdiff_t(first_[i]));
  return found;
}

bool AndOrSearch::dive(double noise, std::mt19937_64& random, std::int64_t* x) {
  std::uniform_real_distribution<> uniform(1e-12, 1);
  for (auto n = tree_.order.size(); n-- > 0;) {
    const auto i = std::size_t(tree_.order[n]);
    look_ahead(tree_.order[n], frames_[i]);
    double best = -INFINITY;
    for (std::size_t k = 0; k < frames_[i].upper.size(); ++k) {
      const auto score = frames_[i].upper[k] - noise * std::log(-std::log(uniform(random)));
      if (score <= best) continue;
      best = score;
      x[i] = std::int64_t(k);
    }
    if (best == -INFINITY) return false;
    x_[i] = x[i];
  }
  return true;
}

bool AndOrSearch::find(double above, std::int64_t* x) {
  std::vector<double> bounds;
  double total = 0;
  for (const auto& factor : model_.factors)
    if (factor.scope.empty()) total += factor.log_values[0];
  for (const auto root : tree_.roots)
    total += bounds.emplace_back(below(root));
  for (std::size_t r = 0; r < tree_.roots.size(); ++r) {
    if (!exceeds(total, above)) return false;
    const auto found = solve(tree_.roots[r], above - (total - bounds[r]));
    if (stopped_ || !found.exact) return false;
    total += found.value - bounds[r];
  }
  for (std::size_t i = 0; i < first_.size(); ++i)
    x[i] = state_[first_[i]];
  return true;
}

}  // namespace marginalia::elimination
