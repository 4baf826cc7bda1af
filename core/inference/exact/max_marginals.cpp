#include "max_marginals.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace marginalia::elimination {
namespace {

/// Where a variable stands in the table of one of its factors.
struct Place {
  std::size_t factor;
  std::int64_t stride;
};

std::vector<std::vector<Place>> find_places(const FactorModel& model) {
  std::vector<std::vector<Place>> places(model.cardinalities.size());
  for (std::size_t a = 0; a < model.factors.size(); ++a) {
    const auto& scope = model.factors[a].scope;
    std::int64_t stride = 1;
    for (auto s = scope.size(); s-- > 0; stride *= model.cardinalities[std::size_t(scope[s])])
      places[std::size_t(scope[s])].push_back({a, stride});
  }
  return places;
}

/// Calls visit(value of the variable, entry) with all entries of a table.
template <class Visit>
void for_entries(std::size_t entries, std::int64_t stride, std::int64_t levels,
                 const Visit& visit) {
  for (std::size_t entry = 0; entry < entries;)
    for (std::int64_t k = 0; k < levels; ++k)
      for (std::int64_t r = 0; r < stride; ++r)
        visit(std::size_t(k), entry++);
}

/// Levels one variable.
void level(FactorModel& model, const std::vector<Place>& places, std::int64_t levels) {
  if (places.size() < 2) return;
  std::vector<std::vector<double>> highest;
  std::vector<double> mean(static_cast<std::size_t>(levels));
  for (const auto& [a, stride] : places) {
    auto& of = highest.emplace_back(std::size_t(levels), -INFINITY);
    const auto& table = model.factors[a].log_values;
    for_entries(table.size(), stride, levels,
                [&](std::size_t k, std::size_t entry) { of[k] = std::max(of[k], table[entry]); });
    for (std::size_t k = 0; k < of.size(); ++k)
      mean[k] += of[k] / double(places.size());
  }
  for (std::size_t p = 0; p < places.size(); ++p) {
    auto shift = highest[p];
    for (std::size_t k = 0; k < shift.size(); ++k)
      shift[k] = mean[k] == -INFINITY ? -INFINITY : mean[k] - shift[k];
    auto& table = model.factors[places[p].factor].log_values;
    for_entries(table.size(), places[p].stride, levels,
                [&](std::size_t k, std::size_t entry) { table[entry] += shift[k]; });
  }
}

}  // namespace

FactorModel levelled(FactorModel model, std::int64_t rounds) {
  const auto places = find_places(model);
  for (std::int64_t round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < places.size(); ++i)
      level(model, places[i], model.cardinalities[i]);
  return model;
}

double sum_of_maxima(const FactorModel& model) {
  double total = 0;
  for (const auto& factor : model.factors)
    total += *std::ranges::max_element(factor.log_values);
  return total;
}

}  // namespace marginalia::elimination
