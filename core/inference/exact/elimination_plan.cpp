#include "elimination_plan.h"

#include <algorithm>
#include <cmath>

namespace marginalia {
namespace {

/// Builds a plan: every factor goes to the first of its variables that is eliminated, and so does
/// every message.
class Planner {
 public:
  Planner(const FactorModel& model, const std::vector<bool>& unknown)
      : model_(model), unknown_(unknown) {
    std::vector<std::vector<std::int64_t>> scopes;
    for (const auto& factor : model.factors)
      scopes.push_back(factor.scope);
    const auto order = min_fill(model.cardinalities, scopes, unknown);
    plan_.cost = order.cost;
    position_.assign(unknown.size(), -1);
    for (std::size_t n = 0; n < order.variables.size(); ++n)
      position_[std::size_t(order.variables[n])] = std::int64_t(n);
    order_ = order.variables;
  }

  EliminationPlan plan() {
    if (!plan_.cost.complete) return std::move(plan_);
    std::vector<std::vector<std::pair<bool, std::size_t>>> buckets(order_.size());
    for (std::size_t f = 0; f < model_.factors.size(); ++f) {
      const auto at = find_first_step(model_.factors[f].scope);
      if (at < 0)
        plan_.constants.push_back(source(true, f, {}, -1));
      else
        buckets[std::size_t(at)].emplace_back(true, f);
    }
    for (std::size_t n = 0; n < order_.size(); ++n) {
      plan_.steps.push_back(step(n, buckets[n]));
      part(plan_.steps.back());
      if (const auto at = find_first_step(plan_.steps[n].separator); at >= 0)
        buckets[std::size_t(at)].emplace_back(false, n);
    }
    return std::move(plan_);
  }

 private:
  /// When the first of these variables is eliminated; -1 where all are known.
  std::int64_t find_first_step(const std::vector<std::int64_t>& scope) const {
    std::int64_t first = -1;
    for (const auto i : scope)
      if (const auto at = position_[std::size_t(i)]; at >= 0 && (first < 0 || at < first))
        first = at;
    return first;
  }

  PlanStep step(std::size_t n, const std::vector<std::pair<bool, std::size_t>>& bucket) const {
    PlanStep step{.variable = order_[n],
                  .levels = model_.cardinalities[std::size_t(order_[n])],
                  .separator = {},
                  .sizes = {},
                  .entries = 1,
                  .sources = {},
                  .children = {}};
    for (const auto& [is_factor, index] : bucket)
      for (const auto i : is_factor ? model_.factors[index].scope : plan_.steps[index].separator)
        if (unknown_[std::size_t(i)] && i != step.variable) step.separator.push_back(i);
    // what is eliminated last lies innermost: what all messages on the way have in common
    std::ranges::sort(step.separator, [&](auto a, auto b) {
      return position_[std::size_t(a)] < position_[std::size_t(b)];
    });
    const auto [end, last] = std::ranges::unique(step.separator);
    step.separator.erase(end, last);
    for (const auto i : step.separator) {
      step.sizes.push_back(model_.cardinalities[std::size_t(i)]);
      step.entries *= step.sizes.back();
    }
    for (const auto& [is_factor, index] : bucket) {
      if (!is_factor) step.children.push_back(step.sources.size());
      step.sources.push_back(source(is_factor, index, step.separator, step.variable));
    }
    return step;
  }

  TableSource source(bool is_factor, std::size_t index, const std::vector<std::int64_t>& separator,
                     std::int64_t variable) const {
    const auto& scope = is_factor ? model_.factors[index].scope : plan_.steps[index].separator;
    return make_source(is_factor, index, scope, model_.cardinalities, separator, variable);
  }

  /// Parts what comes down to a step's children, where it cannot take their messages' place since
  /// an entry is read at several places, so that it stays small beside all messages.
  void part(PlanStep& step) {
    constexpr double kShare = 0.06;
    double entries = 1;
    for (const auto child : step.children) {
      const auto& from = plan_.steps[step.sources[child].index];
      if (from.separator.size() <= step.separator.size()) entries += double(from.entries);
    }
    const auto levels = double(step.levels);
    const auto most = kShare * plan_.cost.entries + double(1 << 8);
    step.levels_at_once =
        std::int64_t(std::clamp(std::floor(levels * most / entries), 1.0, levels));
    plan_.beside = std::max(plan_.beside, entries * double(step.levels_at_once) / levels);
  }

  const FactorModel& model_;
  const std::vector<bool>& unknown_;
  std::vector<std::int64_t> order_, position_;
  EliminationPlan plan_;
};

}  // namespace

TableSource make_source(bool is_factor, std::size_t index, const std::vector<std::int64_t>& scope,
                        const std::vector<std::int64_t>& cardinalities,
                        const std::vector<std::int64_t>& separator, std::int64_t variable) {
  TableSource source{is_factor, index, std::vector<std::int64_t>(separator.size()), 0};
  std::int64_t stride = 1;
  for (auto s = scope.size(); s-- > 0;) {
    const auto i = scope[s];
    const auto at = std::ranges::find(separator, i);
    if (i == variable)
      source.stride = stride;
    else if (at != separator.end())
      source.strides[std::size_t(at - separator.begin())] = stride;
    else
      source.known.emplace_back(i, stride);
    stride *= cardinalities[std::size_t(i)];
  }
  return source;
}

EliminationPlan elimination_plan(const FactorModel& model, const std::vector<bool>& unknown) {
  return Planner(model, unknown).plan();
}

}  // namespace marginalia
