#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/inference/gibbs.h>

#include "inference/exact/elimination_order.h"
#include "inference/exact/elimination_plan.h"

namespace marginalia {

/// A block, and what stands around it.
struct TiedBlocks::Block {
  Tensor columns;     // int64 [V]: its variables and those that they share factors with
  Tensor own;         // bool [V]
  FactorModel model;  // the factors of its variables, over the columns
  std::unique_ptr<Elimination> sums;

  void sum(double inverse_temperature) {
    sums = std::make_unique<Elimination>(
        scaled(model, inverse_temperature),
        StateSpace{model.cardinalities, {std::int64_t(model.cardinalities.size())}});
  }
};

namespace {

// Entries of all messages of a block that may be computed for every row and sweep; and where no
// other variable bears on it, so that rows share them.
constexpr double kMostForEach = 1 << 10, kMostForAll = 1 << 16;

bool forbids(const Factor& factor) {
  return std::ranges::find(factor.log_values, -INFINITY) != factor.log_values.end();
}

/// Strikes out the values of each variable of a factor that lead from an allowed entry to a
/// forbidden one.
void strike_unsafe(const Factor& factor, const std::vector<std::int64_t>& cardinalities,
                   std::vector<std::vector<bool>>& safe) {
  std::vector<std::int64_t> strides(factor.scope.size());
  std::int64_t stride = 1;
  for (auto s = strides.size(); s-- > 0;) {
    strides[s] = stride;
    stride *= cardinalities[std::size_t(factor.scope[s])];
  }
  for (std::int64_t entry = 0; entry < stride; ++entry) {
    if (factor.log_values[std::size_t(entry)] == -INFINITY) continue;
    for (std::size_t s = 0; s < strides.size(); ++s) {
      auto& of = safe[std::size_t(factor.scope[s])];
      const auto K = std::int64_t(of.size());
      const auto base = entry - entry / strides[s] % K * strides[s];
      for (std::int64_t k = 0; k < K; ++k)
        if (factor.log_values[std::size_t(base + k * strides[s])] == -INFINITY)
          of[std::size_t(k)] = false;
    }
  }
}

/// A safe value of each variable, as a place in the values that are supported; -1: none.
std::vector<std::int64_t> safe_values(const FactorModel& supported) {
  std::vector<std::vector<bool>> safe;
  for (const auto K : supported.cardinalities)
    safe.emplace_back(std::size_t(K), true);
  for (const auto& factor : supported.factors)
    if (forbids(factor)) strike_unsafe(factor, supported.cardinalities, safe);
  std::vector<std::int64_t> values;
  for (const auto& of : safe) {
    const auto found = std::ranges::find(of, true);
    values.push_back(found == of.end() ? -1 : found - of.begin());
  }
  return values;
}

/// The variables without a safe value, by the block that they belong to.
std::vector<std::vector<std::int64_t>> tied(const FactorModel& supported,
                                            const std::vector<std::int64_t>& safe) {
  FactorModel ties{supported.cardinalities, {}};
  for (const auto& factor : supported.factors) {
    if (!forbids(factor)) continue;
    auto& scope = ties.factors.emplace_back().scope;
    std::ranges::copy_if(factor.scope, std::back_inserter(scope),
                         [&](std::int64_t i) { return safe[std::size_t(i)] < 0; });
  }
  const auto component = find_components(find_neighbours(ties));
  std::vector<std::vector<std::int64_t>> blocks(component.size());
  for (std::size_t i = 0; i < component.size(); ++i)
    if (safe[i] < 0) blocks[std::size_t(component[i])].push_back(std::int64_t(i));
  std::erase_if(blocks, [](const auto& block) { return block.size() < 2; });
  return blocks;
}

/// Whether a block can be redrawn at the price that is allowed.
bool affordable(const FactorModel& supported, const std::vector<std::int64_t>& block) {
  std::vector<std::int64_t> place(supported.cardinalities.size(), -1), cardinalities;
  for (const auto i : block) {
    place[std::size_t(i)] = std::int64_t(cardinalities.size());
    cardinalities.push_back(supported.cardinalities[std::size_t(i)]);
  }
  bool alone = true;
  std::vector<std::vector<std::int64_t>> scopes;
  for (const auto& factor : supported.factors) {
    std::vector<std::int64_t> inside;
    bool all = true;
    for (const auto i : factor.scope)
      if (place[std::size_t(i)] >= 0)
        inside.push_back(place[std::size_t(i)]);
      else
        all = all && supported.cardinalities[std::size_t(i)] == 1;
    if (inside.empty()) continue;
    alone = alone && all;
    scopes.push_back(std::move(inside));
  }
  return greedy_cost(cardinalities, scopes, alone ? kMostForAll : kMostForEach).complete;
}

}  // namespace

TiedBlocks::TiedBlocks(const FactorModel& model, const StateSpace& space) {
  if (std::ranges::none_of(model.factors, forbids)) return;
  const auto values = supported_values(model);
  if (std::ranges::any_of(values, [](const auto& v) { return v.empty(); })) return;
  const auto supported = restricted(model, values);
  const auto safe = safe_values(supported);
  safe_ = torch::full({space.dimension()}, kUnknown, torch::kLong);
  for (std::size_t i = 0; i < safe.size(); ++i)
    if (safe[i] >= 0) safe_[std::int64_t(i)] = values[i][std::size_t(safe[i])];
  for (const auto& variables : tied(supported, safe)) {
    if (!affordable(supported, variables)) continue;
    std::vector<bool> inside(safe.size());
    for (const auto i : variables)
      inside[std::size_t(i)] = true;
    const auto touches = [&](const Factor& factor) {
      return std::ranges::any_of(factor.scope, [&](auto i) { return inside[std::size_t(i)]; });
    };
    auto& block = *blocks_.emplace_back(std::make_unique<Block>());
    std::vector<std::int64_t> columns, place(safe.size(), -1);
    for (const auto& factor : model.factors) {
      if (!touches(factor)) continue;
      auto& kept = block.model.factors.emplace_back(factor);
      for (auto& i : kept.scope) {
        if (place[std::size_t(i)] < 0) {
          place[std::size_t(i)] = std::int64_t(columns.size());
          columns.push_back(i);
          block.model.cardinalities.push_back(model.cardinalities[std::size_t(i)]);
        }
        i = place[std::size_t(i)];
      }
    }
    block.columns = torch::tensor(columns);
    block.own = torch::zeros({std::int64_t(columns.size())}, torch::kBool);
    for (std::size_t v = 0; v < columns.size(); ++v)
      block.own[std::int64_t(v)] = bool(inside[std::size_t(columns[v])]);
    block.sum(1);
  }
}

TiedBlocks::~TiedBlocks() = default;

void TiedBlocks::set_inverse_temperature(double b) {
  for (auto& block : blocks_)
    block->sum(b);
}

Tensor TiedBlocks::redraw(const Tensor& given, const Tensor& free, Stream& stream,
                          Tensor mean) const {
  auto x = given.contiguous().clone();
  for (const auto& block : blocks_)
    redraw_block(*block, x, free, stream, mean);
  return x;
}

void TiedBlocks::redraw_block(const Block& block, Tensor& x, const Tensor& free, Stream& stream,
                              Tensor& mean) const {
  const auto B = x.size(0), V = block.columns.size(0);
  const auto here = [&] { return x.index_select(1, block.columns); };
  const auto open = free.defined() ? free.index_select(1, block.columns).logical_and(block.own)
                                   : block.own.expand({B, V});
  auto partial = here().masked_fill(open, kUnknown);
  auto possible = block.sums->log_sum(here()).isfinite();
  const auto forbidden = possible.logical_not().nonzero().squeeze(1);
  if (forbidden.numel() > 0) {
    auto settable = (safe_ != kUnknown).expand_as(x);
    if (free.defined()) settable = settable.logical_and(free);
    x.index_copy_(0, forbidden, torch::where(settable, safe_, x).index_select(0, forbidden));
    partial = here().masked_fill(open, kUnknown);
    const auto sums = block.sums->log_sum(partial.index_select(0, forbidden));
    possible.index_put_({forbidden}, sums.isfinite());
  }
  const auto rows = possible.nonzero().squeeze(1);
  if (rows.numel() == 0) return;
  partial = partial.index_select(0, rows);
  x.index_put_({rows.unsqueeze(1), block.columns.unsqueeze(0)},
               block.sums->sample(partial, stream));
  if (!mean.defined()) return;
  const auto [questions, which, _] = at::unique_dim(partial, 0, true, true);
  std::vector<Tensor> answers;
  for (std::int64_t q = 0; q < questions.size(0); ++q)
    answers.push_back(block.sums->single_marginals(questions[q]));
  const auto p = torch::stack(answers).to(torch::kFloat).index_select(0, which);  // [rows, V, K']
  const auto own = block.own.nonzero().squeeze(1);
  mean.slice(2, 0, p.size(2))
      .index_put_({rows.unsqueeze(1), block.columns.index({own}).unsqueeze(0)},
                  p.index_select(1, own));
}

}  // namespace marginalia
