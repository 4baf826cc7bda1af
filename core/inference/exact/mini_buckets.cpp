#include "mini_buckets.h"

#include <algorithm>
#include <cmath>

#include <marginalia/state_space.h>

#include "elimination_max.h"

namespace marginalia::elimination {

MiniBuckets::MiniBuckets(const FactorModel& model, const PseudoTree& tree, double most)
    : model_(model), tree_(tree), buckets_(tree.order.size()) {
  for (std::size_t i = 0; i < buckets_.size(); ++i)
    for (const auto a : tree.factors[i])
      buckets_[i].push_back({true, a});
  for (const auto& factor : model.factors)
    if (factor.scope.empty()) upper_ += factor.log_values[0];
  for (const auto i : tree.order)
    send(i, most);
}

const std::vector<std::int64_t>& MiniBuckets::scope(const Source& source) const {
  return source.is_factor ? model_.factors[source.index].scope : messages_[source.index].scope;
}

const double* MiniBuckets::table(const Source& source) const {
  return source.is_factor ? model_.factors[source.index].log_values.data()
                          : messages_[source.index].values.data();
}

std::vector<MiniBuckets::Part> MiniBuckets::parts(std::int64_t variable, double most) const {
  auto sources = buckets_[std::size_t(variable)];
  std::ranges::stable_sort(
      sources, [&](const Source& a, const Source& b) { return scope(a).size() > scope(b).size(); });
  std::vector<Part> parts;
  std::vector<std::vector<std::int64_t>> scopes;
  const auto joined_size = [&](const auto& of, const Source& source) {
    double entries = 1;
    for (const auto i : of)
      entries *= double(model_.cardinalities[std::size_t(i)]);
    for (const auto i : scope(source))
      if (std::ranges::find(of, i) == of.end())
        entries *= double(model_.cardinalities[std::size_t(i)]);
    return entries / double(model_.cardinalities[std::size_t(variable)]);
  };
  for (const auto& source : sources) {
    std::size_t p = 0;
    while (p < parts.size() && joined_size(scopes[p], source) > most)
      ++p;
    if (p == parts.size()) {
      parts.emplace_back();
      scopes.push_back({variable});
    }
    parts[p].push_back(source);
    for (const auto i : scope(source))
      if (std::ranges::find(scopes[p], i) == scopes[p].end()) scopes[p].push_back(i);
  }
  return parts;
}

PlanStep MiniBuckets::step(std::int64_t variable, const Part& part) const {
  PlanStep step{.variable = variable,
                .levels = model_.cardinalities[std::size_t(variable)],
                .separator = {},
                .sizes = {},
                .entries = 1,
                .sources = {},
                .children = {}};
  for (const auto& source : part)
    for (const auto i : scope(source))
      if (i != variable) step.separator.push_back(i);
  std::ranges::sort(step.separator, [&](auto a, auto b) {
    return tree_.position[std::size_t(a)] < tree_.position[std::size_t(b)];
  });
  const auto [end, last] = std::ranges::unique(step.separator);
  step.separator.erase(end, last);
  for (const auto i : step.separator) {
    step.sizes.push_back(model_.cardinalities[std::size_t(i)]);
    step.entries *= step.sizes.back();
  }
  for (const auto& source : part)
    step.sources.push_back(make_source(source.is_factor, source.index, scope(source),
                                       model_.cardinalities, step.separator, variable));
  return step;
}

/// max_S sum_j t_j(S, v) by value of v.
std::vector<double> MiniBuckets::maxima(const PlanStep& of,
                                        const std::vector<const double*>& tables) const {
  std::vector<double> result;
  for (std::int64_t k = 0; k < of.levels; ++k) {
    auto one = of;
    one.levels = 1;
    auto from = tables;
    for (std::size_t j = 0; j < from.size(); ++j)
      from[j] += k * of.sources[j].stride;
    const auto message = max_message(one, from, {});
    result.push_back(*std::ranges::max_element(message));
  }
  return result;
}

void MiniBuckets::keep(std::int64_t variable, const PlanStep& step, std::vector<double> values) {
  if (step.separator.empty()) {
    upper_ += values[0];
  } else {
    buckets_[std::size_t(step.separator[0])].push_back({false, messages_.size()});
  }
  messages_.push_back({variable, step.separator, std::move(values)});
}

void MiniBuckets::send(std::int64_t variable, double most) {
  const auto in_parts = parts(variable, most);
  const auto levels = std::size_t(model_.cardinalities[std::size_t(variable)]);
  std::vector<PlanStep> steps;
  std::vector<std::vector<const double*>> tables;
  std::vector<std::vector<double>> shifts;
  for (const auto& part : in_parts) {
    steps.push_back(step(variable, part));
    auto& of = tables.emplace_back();
    for (const auto& source : part)
      of.push_back(table(source));
  }
  if (in_parts.size() > 1) {  // to the mean of their max-marginals, each
    is_exact_ = false;
    std::vector<double> mean(levels);
    for (std::size_t p = 0; p < steps.size(); ++p) {
      shifts.push_back(maxima(steps[p], tables[p]));
      for (std::size_t k = 0; k < levels; ++k)
        mean[k] += shifts[p][k] / double(steps.size());
    }
    for (std::size_t p = 0; p < steps.size(); ++p) {
      for (std::size_t k = 0; k < levels; ++k)
        shifts[p][k] = mean[k] == -INFINITY ? -INFINITY : mean[k] - shifts[p][k];
      TableSource shift{true, 0, std::vector<std::int64_t>(steps[p].separator.size()), 1};
      steps[p].sources.push_back(shift);
      tables[p].push_back(shifts[p].data());
    }
  }
  std::vector<std::vector<double>> values;
  for (std::size_t p = 0; p < steps.size(); ++p)
    values.push_back(max_message(steps[p], tables[p], {}));
  for (std::size_t p = 0; p < steps.size(); ++p)
    keep(variable, steps[p], std::move(values[p]));
  if (in_parts.empty()) messages_.push_back({variable, {}, {0.0}});
}

}  // namespace marginalia::elimination
