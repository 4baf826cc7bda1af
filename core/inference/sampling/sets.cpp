#include "sets.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/exact_model.h>
#include <marginalia/inference/resampling.h>
#include <marginalia/state_space.h>

namespace marginalia {
namespace {

/// log p(x_i = k | known) + log allowed of each state [N, D]: float64 [N, K].
Tensor within(const LogConditionals& conditionals, const Tensor& states, std::int64_t i,
              const Tensor& allowed) {
  std::vector<Tensor> parts;
  for (const auto& part : states.split(rows_a_pass(states.size(1))))
    parts.push_back(
        conditionals.at(part, torch::full({part.size(0)}, i, torch::kLong)).to(torch::kDouble));
  return torch::cat(parts) + allowed.log();
}

/// The restricted variables of a row, the smallest sets first.
std::vector<std::int64_t> put_in_order(const Tensor& restricted, const Tensor& sizes) {
  std::vector<std::int64_t> variables;
  for (std::int64_t i = 0; i < restricted.size(0); ++i)
    if (restricted[i].item<bool>()) variables.push_back(i);
  std::ranges::stable_sort(variables, {},
                           [&](std::int64_t i) { return sizes[i].item<std::int64_t>(); });
  return variables;
}

/// One more variable known: every value of every state.
void list_values(SetStates& all, std::int64_t i, const Tensor& log_p) {
  const auto joint = all.log_weight.unsqueeze(1) + log_p;  // [N, K]
  const auto kept = (joint > -INFINITY).nonzero();         // [M, 2]
  const auto from = kept.select(1, 0), value = kept.select(1, 1);
  all.states = all.states.index_select(0, from);
  all.states.select(1, i).copy_(value);
  all.log_weight = joint.index({from, value});
}

/// One more variable known: a value for each particle.
void draw_values(SetStates& all, std::int64_t i, const Tensor& log_p, Stream& stream) {
  all.log_weight = all.log_weight + log_p.logsumexp(1);
  const auto below = log_p.softmax(1).cumsum(1);
  const auto u = torch::rand({below.size(0), 1}, stream.generator(), torch::kDouble);
  all.states.select(1, i).copy_((below <= u * below.slice(1, -1)).sum(1));
  const auto N = double(all.log_weight.size(0));
  const auto share = all.log_weight.softmax(0);
  if (!(share.square().sum().item<double>() * N > 2)) return;
  const auto anew = resample_systematically(share, all.log_weight.size(0), stream);
  all.states = all.states.index_select(0, anew);
  all.log_weight = (all.log_weight.logsumexp(0) - std::log(N)).expand({std::int64_t(N)});
}

/// Rows of evidence that stand one behind the other and are the same: the first of each, and how
/// many there are.
struct Repeats {
  std::vector<std::int64_t> first, count;
};
Repeats find_repeats(const Evidence& known) {
  const auto same =
      (known.partial.slice(0, 1) == known.partial.slice(0, 0, -1))
          .all(1)
          .logical_and(
              (known.allowed.slice(0, 1) == known.allowed.slice(0, 0, -1)).flatten(1).all(1));
  Repeats repeats;
  for (std::int64_t b = 0; b < known.rows(); ++b) {
    if (b > 0 && same[b - 1].item<bool>()) {
      ++repeats.count.back();
      continue;
    }
    repeats.first.push_back(b);
    repeats.count.push_back(1);
  }
  return repeats;
}

/// p(x_i = k | x_S, A) of one row, float64 [1, D, K]: the mean over its states.
Tensor mean_conditionals(const LogConditionals& conditionals, const SetStates& all,
                         std::int64_t levels) {
  const auto weight = all.log_weight.softmax(0);
  Tensor sum;
  const auto rows = rows_a_pass(all.states.size(1));
  for (std::int64_t at = 0; at < all.states.size(0); at += rows) {
    const auto states = all.states.slice(0, at, at + rows);
    const auto known = (states != kUnknown).unsqueeze(2);
    const auto p =
        torch::where(known, (states.unsqueeze(2) == torch::arange(levels)).to(at::kDouble),
                     conditionals(states).to(at::kDouble).exp());
    const auto part = (p * weight.slice(0, at, at + rows).view({-1, 1, 1})).sum(0, true);
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

/// Of `count` draws by weight: int64 [count] of 0..N-1.
Tensor draw_states(const Tensor& log_weight, std::int64_t count, Stream& stream) {
  const auto below = log_weight.softmax(0).cumsum(0);
  const auto u = torch::rand({count}, stream.generator(), torch::kDouble) * below[-1];
  return at::searchsorted(below, u, false, /*right=*/true).clamp_max(below.size(0) - 1);
}

}  // namespace

SetStates list_sets(const LogConditionals& conditionals, const Evidence& row, Stream& stream,
                    const SetLimits& limits) {
  const auto allowed = row.allowed[0];      // [D, K]
  const auto sizes = (allowed > 0).sum(1);  // [D]
  const auto variables = put_in_order(row.restricted()[0], sizes);
  double product = 1;
  for (const auto i : variables)
    product *= sizes[i].item<double>();
  SetStates all{row.partial, torch::zeros({1}, torch::kDouble), 0, product <= limits.states};
  if (!all.exact) {
    all.states = row.partial.repeat({limits.particles, 1});
    all.log_weight =
        torch::full({limits.particles}, -std::log(double(limits.particles)), torch::kDouble);
  }
  for (const auto i : variables) {
    all.passes += double(all.states.size(0));
    const auto log_p = within(conditionals, all.states, i, allowed[i]);
    if (!(log_p > -INFINITY).any().item<bool>())
      return {all.states.slice(0, 0, 0), all.log_weight.slice(0, 0, 0), all.passes, all.exact};
    if (all.exact)
      list_values(all, i, log_p);
    else
      draw_values(all, i, log_p, stream);
  }
  return all;
}

Answer answer_of_sets(const LogConditionals& conditionals, const Query& query, Stream& stream,
                      const ConditionalsInfo& info) {
  const auto known = query.evidence();
  const auto B = known.rows();
  const auto repeats = find_repeats(known);
  auto inner = query;
  inner.allowed = Tensor();
  auto log_mass = torch::zeros({B}, torch::kDouble);  // log p(A | x_S), or of the state drawn
  double passes = 0;
  bool exact = true;
  std::vector<Tensor> states, p;
  for (std::size_t n = 0; n < repeats.first.size(); ++n) {
    const auto first = repeats.first[n], count = repeats.count[n];
    const auto row = torch::full({1}, first, torch::kLong);
    const auto all = list_sets(conditionals, known.of_rows(row), stream);
    passes += all.passes;
    exact = exact && all.exact;
    if (all.states.size(0) == 0 && query.kind != QueryKind::kLogMarginal)
      throw ImpossibleGiven(first);
    auto mass = log_mass.slice(0, first, first + count);
    if (query.kind == QueryKind::kLogMarginal) {
      mass.copy_(all.log_weight.logsumexp(0));
    } else if (query.kind == QueryKind::kSample) {
      const auto chosen = draw_states(all.log_weight, count, stream);
      states.push_back(all.states.index_select(0, chosen));
      mass.copy_(all.log_weight.index_select(0, chosen) - all.log_weight.logsumexp(0));
    } else {
      p.push_back(
          mean_conditionals(conditionals, all, known.allowed.size(2)).repeat({count, 1, 1}));
      passes += double(all.states.size(0));
    }
  }
  if (query.kind == QueryKind::kConditionals)
    return {.value = log_conditionals_of(torch::cat(p), known.partial),
            .passes = passes / double(B)};
  if (query.kind == QueryKind::kSample) inner.partial = torch::cat(states);
  auto answer = answer_from_conditionals(conditionals, inner, stream, info);
  answer.value = answer.value + log_mass;
  if (!exact) answer.status = Status::kEstimate;
  answer.passes += passes / double(B);
  return answer;
}

}  // namespace marginalia
