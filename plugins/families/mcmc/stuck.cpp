#include "stuck.h"

#include <algorithm>

#include <torch/types.h>

namespace marginalia::mcmc {

using namespace marginalia;

namespace {

constexpr std::int64_t kTries = 100;  // sweeps, at most, that look for what can move

Tensor own_moves(const Sampler& sampler, const Tensor& moved) {
  return moved.view({sampler.replicas(), -1, moved.size(1)}).any(0);
}

}  // namespace

Tensor own_rows(const Sampler& sampler, const Tensor& states) {
  return states.slice(0, 0, states.size(0) / sampler.replicas());
}

void add(ChainMoves& moves, const Sampler& sampler, const Energy& energy, const Swept& swept,
         std::int64_t sweeps) {
  moves.add(own_moves(sampler, swept.moved), energy.log_density(own_rows(sampler, swept.states)),
            double(sweeps));
}

ChainMoves tried(const Sampler& sampler, const Energy& energy, const Tensor& states) {
  Stream stream(0, "moves");
  ChainMoves moves;
  auto x = states;
  for (std::int64_t n = 0; n < kTries && !moves.all(); ++n) {
    const auto swept = sampler.sweep(x, {}, 1, stream);
    add(moves, sampler, energy, swept, 1);
    x = swept.states;
  }
  return moves;
}

std::vector<AnswerWarning> list_warnings(const Sampler& sampler, const Support& support,
                                         const Tensor& partial, const Tensor& states,
                                         std::int64_t sweeps) {
  const auto& energy = support.energy();
  const auto tries = std::min(kTries, sweeps);
  const auto free = (partial == kUnknown).repeat({sampler.replicas(), 1});
  Stream stream(0, "moves");
  auto x = states.repeat({sampler.replicas(), 1});
  auto moved = (partial != kUnknown).logical_or(energy.space().possible().sum(1) == 1);
  for (std::int64_t n = 0; n < tries && !moved.all().item<bool>(); ++n) {
    const auto swept = sampler.sweep(x, free, 1, stream);
    moved.logical_or_(own_moves(sampler, swept.moved));
    x = swept.states;
  }
  const auto here = own_rows(sampler, x).contiguous();
  const auto log_f = energy.log_density(here);
  const auto doubtful =
      moved.all(1).logical_not().logical_or(log_f == -INFINITY).nonzero().squeeze(1);
  if (doubtful.numel() == 0) return {};
  const auto which = std::get<1>(at::unique_dim(partial.index_select(0, doubtful), 0, true, true));
  std::vector<AnswerWarning> warnings;
  for (std::int64_t q = 0; q <= which.max().item<std::int64_t>(); ++q) {
    const auto row = doubtful.index({which == q})[0].item<std::int64_t>();
    const auto all = (partial == partial[row]).all(1);  // also those that moved
    ChainMoves moves;
    moves.add(moved.index({all}), log_f.index({all}), double(sweeps + tries));
    auto text = chains_text(moves, support, here.index({all}), partial[row]);
    if (!text.empty()) warnings.push_back({row, std::move(text)});
  }
  std::ranges::sort(warnings, {}, &AnswerWarning::row);
  return warnings;
}

}  // namespace marginalia::mcmc
