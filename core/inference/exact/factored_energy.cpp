#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/factored_energy.h>

namespace marginalia {

/// A variable of a scope, and how far apart its values lie in the table.
struct Slot {
  std::int64_t variable, stride;
};

struct FactoredEnergy::Flat {
  std::vector<Slot> slots;          // of factor a: first[a] .. first[a + 1]
  std::vector<std::int64_t> first;  // [A + 1]
  std::vector<std::int64_t> table;  // [A]: where factor a's values begin
  std::vector<double> values;

  explicit Flat(const FactorModel& model) : first{0} {
    for (const auto& factor : model.factors) {
      std::int64_t stride = 1;
      const auto n = factor.scope.size(), start = slots.size();
      slots.resize(start + n);
      for (auto s = n; s-- > 0;) {
        slots[start + s] = {factor.scope[s], stride};
        stride *= model.cardinalities[std::size_t(factor.scope[s])];
      }
      first.push_back(std::int64_t(slots.size()));
      table.push_back(std::int64_t(values.size()));
      values.insert(values.end(), factor.log_values.begin(), factor.log_values.end());
    }
  }

  /// Calls known(a, values at x) for each factor whose variables are all known, and
  /// open(slot, values at the others) for each with one that is not.
  template <class Known, class Open>
  void visit(const std::int64_t* x, const Known& known, const Open& open) const {
    for (std::size_t a = 0; a < table.size(); ++a) {
      const Slot* unknown = nullptr;
      int count = 0;
      const auto* value = values.data() + table[a];
      for (auto s = first[a]; s < first[a + 1] && count < 2; ++s) {
        const auto& slot = slots[std::size_t(s)];
        if (x[slot.variable] == kUnknown) {
          unknown = &slot;
          ++count;
        } else {
          value += slot.stride * x[slot.variable];
        }
      }
      if (count == 0) known(a, value);
      if (count == 1) open(*unknown, value);
    }
  }
};

namespace {

/// Greedy: each variable takes the first colour that none of its neighbours has.
Tensor colouring(const FactorModel& model) {
  const auto neighbours = find_neighbours(model);
  std::vector<std::int64_t> colours(neighbours.size(), -1);
  for (std::size_t i = 0; i < neighbours.size(); ++i) {
    std::vector<bool> taken(neighbours[i].size() + 1);
    for (const auto j : neighbours[i])
      if (const auto c = colours[std::size_t(j)]; c >= 0 && c < std::int64_t(taken.size()))
        taken[std::size_t(c)] = true;
    colours[i] = std::ranges::find(taken, false) - taken.begin();
  }
  return torch::tensor(colours);
}

/// Why the factors cannot be given as PairwiseFactors; empty where they can.
std::string obstacle_to_pairs(const FactorModel& model) {
  for (const auto k : model.cardinalities)
    if (k != model.cardinalities[0]) return "its variables differ in their cardinalities";
  for (const auto& factor : model.factors) {
    if (factor.scope.size() > 2) return "a factor has more than two variables";
    for (const auto value : factor.log_values)
      if (!std::isfinite(value)) return "a factor forbids some of its states";
  }
  return "";
}

PairwiseFactors to_pairwise(const FactorModel& model) {
  const auto D = std::int64_t(model.cardinalities.size()), K = model.cardinalities[0];
  const auto cells = std::size_t(K * K);
  auto unary = torch::zeros({D, K}, torch::kDouble);
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<double>> tables;  // not a tensor each
  for (const auto& [scope, values] : model.factors) {
    if (scope.size() == 1) {
      auto* const sum = unary.data_ptr<double>() + scope[0] * K;
      std::transform(values.begin(), values.end(), sum, sum, std::plus<>());
    }
    if (scope.size() != 2) continue;
    const bool turned = scope[0] > scope[1];
    auto& sum = tables[std::minmax(scope[0], scope[1])];
    sum.resize(cells);
    for (std::size_t n = 0; n < cells; ++n)
      sum[n] += values[turned ? n % std::size_t(K) * std::size_t(K) + n / std::size_t(K) : n];
  }
  std::vector<std::int64_t> ends;
  auto pairs = torch::empty({std::int64_t(tables.size()), K, K}, torch::kFloat);
  auto* to = pairs.data_ptr<float>();
  for (const auto& [edge, table] : tables) {
    ends.insert(ends.end(), {edge.first, edge.second});
    to = std::transform(table.begin(), table.end(), to, [](double value) { return float(value); });
  }
  return {unary.to(torch::kFloat), torch::tensor(ends, torch::kLong).view({-1, 2}), pairs};
}

/// Calls work(b, row b) on several threads.
template <class Work>
void for_rows(const Tensor& x, std::size_t factors, const Work& work) {
  const auto rows = x.contiguous();
  const auto D = rows.size(1);
  const auto grain = 1 + (1 << 14) / (std::int64_t(factors) + 1);
  at::parallel_for(0, rows.size(0), grain, [&](std::int64_t begin, std::int64_t end) {
    for (auto b = begin; b < end; ++b)
      work(b, rows.data_ptr<std::int64_t>() + b * D);
  });
}

}  // namespace

FactoredEnergy::FactoredEnergy(FactorModel model, StateSpace space, double memory)
    : model_(std::move(model)),
      space_(std::move(space)),
      flat_(std::make_unique<Flat>(model_)),
      colours_(colouring(model_)),
      not_pairwise_(obstacle_to_pairs(model_)),
      elimination_(memory) {
  if (not_pairwise_.empty()) pairwise_ = to_pairwise(model_);
}

FactoredEnergy::~FactoredEnergy() = default;

Offer<PairwiseFactors> FactoredEnergy::pairwise() const {
  if (!not_pairwise_.empty()) return Offer<PairwiseFactors>::none(not_pairwise_);
  return {&pairwise_};
}

Tensor FactoredEnergy::known_part(const Tensor& partial) const {
  auto result = torch::empty({partial.size(0)}, torch::kDouble);
  auto* log_f = result.data_ptr<double>();
  for_rows(partial.cpu(), model_.factors.size(), [&](std::int64_t b, const std::int64_t* x) {
    double sum = 0;
    flat_->visit(
        x, [&](std::size_t, const double* value) { sum += *value; },
        [](const Slot&, const double*) {});
    log_f[b] = sum;
  });
  return result.to(partial.device());
}

Tensor FactoredEnergy::logits(const Tensor& partial) const {
  const auto B = partial.size(0), D = partial.size(1), K = space_.levels();
  const auto possible = space_.possible();  // [D, K]
  auto result = torch::zeros({D, K}, torch::kFloat)
                    .masked_fill(possible.logical_not(), -INFINITY)
                    .expand({B, D, K})
                    .contiguous();
  auto* logits = result.data_ptr<float>();
  for_rows(partial.cpu(), model_.factors.size(), [&](std::int64_t b, const std::int64_t* x) {
    std::vector<double> sums(std::size_t(D * K));
    const auto add = [&](const Slot& slot, const double* value) {
      for (std::int64_t k = 0; k < space_.cardinalities[std::size_t(slot.variable)]; ++k)
        sums[std::size_t(slot.variable * K + k)] += value[k * slot.stride];
    };
    const auto add_each = [&](std::size_t a, const double* value) {
      for (auto s = flat_->first[a]; s < flat_->first[a + 1]; ++s) {
        const auto& slot = flat_->slots[std::size_t(s)];
        add(slot, value - slot.stride * x[slot.variable]);
      }
    };
    flat_->visit(x, add_each, add);
    for (std::int64_t n = 0; n < D * K; ++n)
      logits[b * D * K + n] += static_cast<float>(sums[std::size_t(n)]);
  });
  return result.to(partial.device());
}

}  // namespace marginalia
