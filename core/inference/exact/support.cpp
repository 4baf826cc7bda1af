#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/elimination.h>

#include "elimination_plan.h"

namespace marginalia {
namespace {

constexpr double kExactBits = 12;  // log2 of the entries of a message that is summed exactly
constexpr double kMaxCompletions = 1 << 16;  // that are looked at, of an energy without factors
constexpr std::int64_t kMaxBatch = 1 << 12;

FactorModel forbidding(const Energy& energy) {
  FactorModel model{energy.space().cardinalities, {}};
  const auto constraints = energy.constraints();
  if (!constraints) return model;
  for (const auto& factor : constraints->factors) {
    if (std::ranges::find(factor.log_values, -INFINITY) == factor.log_values.end()) continue;
    model.factors.push_back(factor);
    for (auto& value : model.factors.back().log_values)
      if (value > -INFINITY) value = 0;
  }
  return model;
}

double completions(const StateSpace& space, const Tensor& partial) {
  double count = 1;
  for (std::int64_t i = 0; i < space.dimension(); ++i)
    if (partial[i].item<std::int64_t>() == kUnknown)
      count *= double(space.cardinalities[std::size_t(i)]);
  return count;
}

/// The completions of `partial`, int64 [D], from `first` on, `count` of them, the last variable
/// fastest: int64 [count, D].
Tensor completions(const StateSpace& space, const Tensor& partial, std::int64_t first,
                   std::int64_t count) {
  auto index = torch::arange(first, first + count);
  auto states = partial.expand({count, -1}).clone();
  for (auto i = space.dimension() - 1; i >= 0; --i) {
    if (partial[i].item<std::int64_t>() != kUnknown) continue;
    const auto K = space.cardinalities[std::size_t(i)];
    states.select(1, i).copy_(index.remainder(K));
    index = index.div(K, "floor");
  }
  return states;
}

/// Calls visit with the allowed ones of all completions, in batches that grow, until it returns
/// true.
template <class Visit>
void for_allowed_completions(const Energy& energy, const Tensor& partial, const Visit& visit) {
  const auto total = std::int64_t(completions(energy.space(), partial));
  for (std::int64_t first = 0, batch = 1; first < total; first += batch, batch *= 4) {
    batch = std::min({batch, kMaxBatch, total - first});
    const auto states = completions(energy.space(), partial, first, batch);
    if (visit(states.index({energy.log_density(states).isfinite()}))) return;
  }
}

Tensor known_values(const Tensor& partial, std::int64_t levels) {
  return partial.unsqueeze(1) == torch::arange(levels);  // [D, K]
}

}  // namespace

Support::Support(const Energy& energy)
    : energy_(energy),
      forbidding_(forbidding(energy)),
      has_more_(!energy.factors() && !energy.pairwise()) {}

std::optional<Tensor> Support::by_constraints(const Tensor& partial) const {
  const auto& space = energy_.space();
  const auto row = partial.contiguous();
  auto values = known_values(row, space.levels())
                    .logical_or((row == kUnknown).unsqueeze(1).logical_and(space.possible()));
  const auto left = conditioned(forbidding_, row.data_ptr<std::int64_t>());
  if (left.constant == -INFINITY) return std::nullopt;
  if (left.model.factors.empty()) return values;
  const auto supported = supported_values(left.model);
  if (supported[0].empty()) return std::nullopt;
  const auto keep = [&](std::int64_t i, const std::vector<std::int64_t>& some) {
    values[i].fill_(false);
    values[i].index_fill_(0, torch::tensor(some), true);
  };
  for (std::size_t place = 0; place < supported.size(); ++place)
    keep(left.variables[place], supported[place]);

  std::vector<std::int64_t> places;
  for (std::size_t place = 0; place < supported.size(); ++place)
    places.push_back(std::int64_t(place));
  const auto narrow = narrow_part({places, restricted(left.model, supported), 0}, kExactBits);
  if (narrow.model.factors.empty()) return values;
  const auto U = std::int64_t(narrow.variables.size());
  const Elimination sums(narrow.model, StateSpace{narrow.model.cardinalities, {U}});
  if (sums.log_z() == -INFINITY) return std::nullopt;
  const auto p = sums.single_marginals(sums.space().empty()[0]);
  for (std::int64_t u = 0; u < U; ++u) {
    const auto place = std::size_t(narrow.variables[std::size_t(u)]);
    std::vector<std::int64_t> some;
    for (std::size_t k = 0; k < supported[place].size(); ++k)
      if (p[u][std::int64_t(k)].item<double>() > 0) some.push_back(supported[place][k]);
    keep(left.variables[place], some);
  }
  return values;
}

bool Support::is_empty() const {
  return !forbidding_.factors.empty() && !by_constraints(energy_.space().empty()[0]);
}

Tensor Support::excludes(const Tensor& partial) const {
  energy_.space().check(partial, true, energy_.label());
  const auto B = partial.size(0);
  auto excluded = torch::zeros({B}, torch::kBool);
  if (!forbidding_.factors.empty())
    for (std::int64_t b = 0; b < B; ++b)
      excluded[b] = !by_constraints(partial[b]);
  if (!has_more_) return excluded;
  // One completion of each row is enough of most.
  const auto open = excluded.logical_not().nonzero().squeeze(1);
  if (open.numel() == 0) return excluded;
  const auto first = energy_.log_density(partial.index_select(0, open).clamp_min(0));
  const auto doubtful = open.index({first.isfinite().logical_not()});
  for (std::int64_t n = 0; n < doubtful.size(0); ++n) {
    const auto b = doubtful[n].item<std::int64_t>();
    if (completions(energy_.space(), partial[b]) > kMaxCompletions) continue;
    bool any = false;
    for_allowed_completions(energy_, partial[b],
                            [&](const Tensor& states) { return any = states.size(0) > 0; });
    excluded[b] = !any;
  }
  return excluded;
}

void Support::check_given(const Tensor& given) const {
  const auto rows = excludes(given).nonzero();
  if (rows.size(0) > 0) throw ImpossibleGiven(rows[0].item<std::int64_t>());
}

std::optional<Tensor> Support::values(const Tensor& partial) const {
  const auto allowed = by_constraints(partial);
  if (!allowed) return torch::zeros_like(energy_.space().possible());
  if (!has_more_) return allowed;
  if (completions(energy_.space(), partial) > kMaxCompletions) return std::nullopt;
  auto seen = torch::zeros_like(*allowed);
  for_allowed_completions(energy_, partial, [&](const Tensor& states) {
    seen.logical_or_((states.unsqueeze(2) == torch::arange(seen.size(1))).any(0));
    return seen.equal(*allowed);
  });
  return seen;
}

void refuse_all_forbidden(const Energy& energy) {
  throw SpecError(energy.label() + ": every state is forbidden (log f = -inf), and so log Z is "
                                   "-inf; evidence that contradicts a factor can be why");
}

}  // namespace marginalia
