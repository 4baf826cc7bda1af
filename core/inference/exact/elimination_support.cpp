#include <algorithm>
#include <cmath>

#include "elimination_plan.h"

namespace marginalia {
namespace {

using Allowed = std::vector<std::vector<bool>>;  // [D][K_i]

/// Calls visit(entry, values) with the entries of a factor whose values are all allowed.
template <class Visit>
void for_allowed(const Factor& factor, const std::vector<std::int64_t>& cardinalities,
                 const Allowed& allowed, const Visit& visit) {
  std::vector<std::int64_t> values(factor.scope.size());
  for (std::size_t entry = 0; entry < factor.log_values.size(); ++entry) {
    auto rest = std::int64_t(entry);
    bool all = true;
    for (auto s = values.size(); s-- > 0;) {
      const auto i = std::size_t(factor.scope[s]);
      values[s] = rest % cardinalities[i];
      rest /= cardinalities[i];
      all = all && allowed[i][std::size_t(values[s])];
    }
    if (all) visit(entry, values);
  }
}

/// Strikes out what a factor does not support.  -> the variables that lost a value.
std::vector<std::int64_t> strike_out(const Factor& factor,
                                     const std::vector<std::int64_t>& cardinalities,
                                     Allowed& allowed) {
  Allowed supported;
  for (const auto i : factor.scope)
    supported.emplace_back(std::size_t(cardinalities[std::size_t(i)]));
  for_allowed(factor, cardinalities, allowed, [&](std::size_t entry, const auto& values) {
    if (factor.log_values[entry] == -INFINITY) return;
    for (std::size_t s = 0; s < values.size(); ++s)
      supported[s][std::size_t(values[s])] = true;
  });
  std::vector<std::int64_t> changed;
  for (std::size_t s = 0; s < factor.scope.size(); ++s) {
    auto& of = allowed[std::size_t(factor.scope[s])];
    if (of == supported[s]) continue;
    of = supported[s];
    changed.push_back(factor.scope[s]);
  }
  return changed;
}

}  // namespace

std::vector<std::vector<std::int64_t>> supported_values(const FactorModel& model) {
  const auto D = model.cardinalities.size();
  Allowed allowed;
  for (const auto K : model.cardinalities)
    allowed.emplace_back(std::size_t(K), true);
  std::vector<std::vector<std::size_t>> factors_with(D);
  std::vector<std::size_t> waiting;
  std::vector<bool> is_waiting(model.factors.size());
  for (std::size_t a = 0; a < model.factors.size(); ++a) {
    const auto& [scope, log_values] = model.factors[a];
    for (const auto i : scope)
      factors_with[std::size_t(i)].push_back(a);
    if (std::ranges::find(log_values, -INFINITY) == log_values.end()) continue;
    waiting.push_back(a);
    is_waiting[a] = true;
  }
  while (!waiting.empty()) {
    const auto a = waiting.back();
    waiting.pop_back();
    is_waiting[a] = false;
    for (const auto i : strike_out(model.factors[a], model.cardinalities, allowed))
      for (const auto other : factors_with[std::size_t(i)])
        if (other != a && !is_waiting[other]) {
          is_waiting[other] = true;
          waiting.push_back(other);
        }
  }
  std::vector<std::vector<std::int64_t>> values(D);
  for (std::size_t i = 0; i < D; ++i)
    for (std::size_t k = 0; k < allowed[i].size(); ++k)
      if (allowed[i][k]) values[i].push_back(std::int64_t(k));
  const bool possible = std::ranges::none_of(values, [](const auto& v) { return v.empty(); });
  if (!possible) values.assign(D, {});
  return values;
}

FactorModel restricted(const FactorModel& model,
                       const std::vector<std::vector<std::int64_t>>& values) {
  Allowed allowed;
  FactorModel result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    allowed.emplace_back(std::size_t(model.cardinalities[i]));
    for (const auto k : values[i])
      allowed[i][std::size_t(k)] = true;
    result.cardinalities.push_back(std::int64_t(values[i].size()));
  }
  for (const auto& factor : model.factors) {
    auto& table = result.factors.emplace_back(Factor{factor.scope, {}}).log_values;
    for_allowed(factor, model.cardinalities, allowed,
                [&](std::size_t entry, const auto&) { table.push_back(factor.log_values[entry]); });
  }
  return result;
}

}  // namespace marginalia
