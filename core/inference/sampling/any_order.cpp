#include <algorithm>
#include <cmath>
#include <tuple>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/network.h>
#include <marginalia/state_space.h>

#include "paths.h"
#include "sets.h"

namespace marginalia {

Tensor LogConditionals::at(const Tensor& partial, const Tensor& variable) const {
  if (at_) return at_(partial, variable);
  const auto log_p = all_(partial);
  return log_p.index(
      {torch::arange(variable.size(0), log_p.device()), variable.to(log_p.device())});
}

LogConditionals make_conditionals(Network& network, at::Device device, at::Device to) {
  return {
      [=, &network](const Tensor& partial) {
        return log_softmax_levels(network.evaluate({partial.to(device)}, kLogits).logits).to(to);
      },
      [=, &network](const Tensor& partial, const Tensor& variable) {
        const NetworkInput input{.partial = partial.to(device), .variable = variable};
        const auto logits = network.evaluate(input, kLogitsOfOne).logits_of_one;
        return log_softmax_levels(logits).to(to);
      }};
}

Tensor draw_orders(Order order, std::int64_t rows, std::int64_t dimension, Stream& stream) {
  if (order == Order::kRandom) return stream.permutations(rows, dimension);
  const auto forward = torch::arange(dimension);
  return (order == Order::kForward ? forward : forward.flip(0))
      .expand({rows, dimension})
      .contiguous();
}

Tensor to_ranks(const Tensor& orders) {
  auto ranks = torch::empty_like(orders);
  const auto times = torch::arange(orders.size(1)).expand_as(orders).contiguous();
  return ranks.scatter_(1, orders, times);
}

std::int64_t rows_a_pass(std::int64_t dimension) {
  return std::clamp<std::int64_t>((1 << 18) / std::max<std::int64_t>(dimension, 1), 64, 4096);
}

/// The order restricted to the variables to be scored: rank[b, i] counts from 0 among them; -1 for
/// what is given, D for what stays unknown.
static Tensor ranks_among(const Tensor& scored, const Tensor& given, const Tensor& orders) {
  const auto D = orders.size(1);
  const auto along = scored.gather(1, orders).to(torch::kLong);  // [B, D] by time
  const auto place = along.cumsum(1) - 1;                        // its place among the scored
  auto ranks = torch::full_like(orders, D).scatter_(1, orders, place);
  return ranks.masked_fill(scored.logical_not(), D).masked_fill(given, -1);
}

/// The variables that are scored, and the time at which each is.
struct Scored {
  Tensor scored, ranks;
};
static Scored scored_along(const Tensor& partial, const Tensor& given, const Tensor& orders) {
  const auto is_given =
      given.defined() ? given != kUnknown : torch::zeros_like(partial, torch::kBool);
  const auto scored = (partial != kUnknown).logical_and(is_given.logical_not());
  return {scored, ranks_among(scored, is_given, orders)};
}

ChainScore score_chain(const LogConditionals& conditionals, const Tensor& partial,
                       const Tensor& given, const Tensor& orders, std::int64_t chunk) {
  const auto B = partial.size(0);
  if (chunk == 0) chunk = rows_a_pass(partial.size(1));
  const auto [scored, ranks] = scored_along(partial, given, orders);
  const auto pairs = scored.nonzero();  // [N, 2]: row, variable
  const auto rows = pairs.select(1, 0), variables = pairs.select(1, 1);
  const auto time = ranks.index({rows, variables});
  auto log_prob = torch::zeros({B}, torch::kDouble);
  for (std::int64_t at = 0; at < rows.size(0); at += chunk) {
    const auto r = rows.slice(0, at, at + chunk), v = variables.slice(0, at, at + chunk);
    const auto x = partial.index({r});  // [C, D]
    const auto known = ranks.index({r}) < time.slice(0, at, at + chunk).unsqueeze(1);
    const auto log_p = conditionals.at(x.masked_fill(known.logical_not(), kUnknown), v);  // [C, K]
    const auto value = x.gather(1, v.unsqueeze(1));
    log_prob.index_add_(0, r, log_p.gather(1, value).squeeze(1).to(torch::kDouble));
  }
  return {log_prob, B ? double(rows.size(0)) / double(B) : 0};
}

ChainScore score_in_passes(const LogConditionals& conditionals, const Tensor& partial,
                           const Tensor& given, const Tensor& time) {
  const auto B = partial.size(0);
  const auto is_given =
      given.defined() ? given != kUnknown : torch::zeros_like(partial).to(torch::kBool);
  const auto scored = (partial != kUnknown).logical_and(is_given.logical_not());
  const auto due = time.masked_fill(scored.logical_not(), -1);
  const auto last = due.numel() ? due.max().item<std::int64_t>() : -1;
  auto log_prob = torch::zeros({B}, torch::kDouble);
  double passes = 0;
  for (std::int64_t t = 0; t <= last; ++t) {
    const auto open = (due == t).any(1).nonzero().squeeze(1);
    passes += double(open.size(0));
    for (const auto& rows : open.split(rows_a_pass(partial.size(1)))) {
      if (rows.numel() == 0) continue;
      const auto x = partial.index({rows}), when = due.index({rows});
      const auto known = (when >= 0).logical_and(when < t).logical_or(is_given.index({rows}));
      const auto places = (when == t).nonzero();  // [N, 2]
      const auto here = places.select(1, 0), variable = places.select(1, 1);
      const auto log_p = conditionals(x.masked_fill(known.logical_not(), kUnknown));
      log_prob.index_add_(
          0, rows.index({here}),
          log_p.index({here, variable, x.index({here, variable})}).to(torch::kDouble));
    }
  }
  return {log_prob, B ? passes / double(B) : 0};
}

ChainScore score_ensemble(const LogConditionals& conditionals, const Tensor& partial,
                          const Tensor& given, std::int64_t count, Stream& stream) {
  std::vector<Tensor> scores;
  double passes = 0;
  for (std::int64_t m = 0; m < count; ++m) {
    const auto orders = stream.permutations(partial.size(0), partial.size(1));
    const auto score = score_chain(conditionals, partial, given, orders);
    scores.push_back(score.log_prob);
    passes += score.passes;
  }
  return {torch::stack(scores).logsumexp(0) - std::log(double(count)), passes};
}

ChainScore score_masked(const LogConditionals& conditionals, const Tensor& partial,
                        const Tensor& given, std::int64_t count, Stream& stream) {
  const auto B = partial.size(0), D = partial.size(1), chunk = rows_a_pass(D);
  auto total = torch::zeros({B}, torch::kDouble);
  const auto first = stream.uniform({B});  // each row's masks divide 0..|Q|-1 evenly
  for (std::int64_t m = 0; m < count; ++m) {
    const auto [scored, ranks] = scored_along(partial, given, stream.permutations(B, D));
    const auto place = (first + double(m)) / double(count);
    const auto size = (place * scored.sum(1)).to(torch::kLong).unsqueeze(1);
    for (std::int64_t at = 0; at < B; at += chunk) {
      const auto part = [&](const Tensor& t) { return t.slice(0, at, at + chunk); };
      const auto x = part(partial);
      const auto next = part(scored).logical_and(part(ranks) >= part(size));
      const auto log_p =
          conditionals(x.masked_fill(part(ranks) >= part(size), kUnknown)).to(torch::kDouble);
      const auto of_x = log_p.gather(2, x.clamp_min(0).unsqueeze(2)).squeeze(2);  // [C, D]
      const auto sum = torch::where(next, of_x, torch::zeros_like(of_x)).sum(1);
      part(total) += sum * part(scored).sum(1) / next.sum(1).clamp_min(1);
    }
  }
  return {total / double(count), double(count)};
}

Tensor draw_times(const Tensor& colours, std::int64_t rows, Stream& stream) {
  const auto count = colours.max().item<std::int64_t>() + 1;
  return to_ranks(stream.permutations(rows, count)).index_select(1, colours);
}

/// The value at which the distribution function passes u: exp(log_p) [N, K], u [N] in 0..1.
static Tensor inverted(const Tensor& log_p, const Tensor& u) {
  const auto cumulative = log_p.exp().cumsum(1);  // [N, K]
  const auto total = cumulative.select(1, -1);
  if (!(total > 0).logical_and(total.isfinite()).all().item<bool>())
    throw Error("the model's conditionals are not probabilities (NaN, or all zero)");
  return (cumulative <= (u * total).unsqueeze(1)).sum(1);
}

ChainSample sample_in_passes(const LogConditionals& conditionals, const Tensor& partial,
                             const Tensor& time, Stream& stream) {
  const auto B = partial.size(0), D = partial.size(1);
  auto x = partial.clone();
  auto log_prob = torch::zeros({B}, torch::kDouble);
  // With the 24 bits of a float32 a value of chance 1e-14 would be drawn once in 2^24.
  const auto u = torch::rand({B, D}, stream.generator(), torch::kDouble);
  const auto due = time.masked_fill(partial != kUnknown, -1);
  const auto last = due.numel() ? due.max().item<std::int64_t>() : -1;
  double passes = 0;
  for (std::int64_t t = 0; t <= last; ++t) {
    const auto drawn = due == t;
    const auto open = drawn.any(1).nonzero().squeeze(1);
    passes += double(open.size(0));
    for (const auto& rows : open.split(rows_a_pass(D))) {
      if (rows.numel() == 0) continue;
      const auto places = drawn.index({rows}).nonzero();  // [N, 2]
      const auto here = places.select(1, 0), variable = places.select(1, 1);
      const auto row = rows.index({here});
      const bool single = here.size(0) == rows.size(0);  // then of every row, in order
      const auto log_p = (single ? conditionals.at(x.index({rows}), variable)
                                 : conditionals(x.index({rows})).index({here, variable}))
                             .to(torch::kDouble);
      const auto value = inverted(log_p, u.index({row, variable}));
      x.index_put_({row, variable}, value);
      log_prob.index_add_(0, row, log_p.gather(1, value.unsqueeze(1)).squeeze(1));
    }
  }
  return {x, log_prob, B ? passes / double(B) : 0};
}

ChainSample sample_blocks(const LogConditionals& conditionals, const Tensor& partial,
                          const Tensor& orders, const std::vector<std::int64_t>& blocks,
                          Stream& stream) {
  // Each variable's place among the unknown of its row, so that rows with as many keep step.
  const auto known = partial != kUnknown;
  const auto rank = to_ranks(orders).masked_fill(known, orders.size(1));
  const auto place = to_ranks(rank.argsort(std::int64_t{1}));
  std::vector<std::int64_t> pass;
  for (std::size_t j = 0; j < blocks.size(); ++j)
    pass.insert(pass.end(), std::size_t(blocks[j]), std::int64_t(j));
  pass.resize(std::max(pass.size(), std::size_t(orders.size(1))), std::int64_t(blocks.size()));
  return sample_in_passes(conditionals, partial, torch::tensor(pass).index({place}), stream);
}

ChainSample sample_chain(const LogConditionals& conditionals, const Tensor& partial,
                         const Tensor& orders, Stream& stream) {
  const auto most = partial.numel() ? (partial == kUnknown).sum(1).max().item<std::int64_t>() : 0;
  const std::vector<std::int64_t> single(static_cast<std::size_t>(most), 1);
  return sample_blocks(conditionals, partial, orders, single, stream);
}

std::vector<std::int64_t> best_blocks(const std::vector<double>& loss, std::int64_t unknown,
                                      std::int64_t count) {
  const auto D = static_cast<std::int64_t>(loss.size()), first = D - unknown;
  count = std::min(count, unknown);
  if (unknown <= 0) return {};
  if (count < 1) throw Error("best_blocks needs one block at least");
  const auto at = [&](std::int64_t known) { return loss[static_cast<std::size_t>(known)]; };
  // cost[a]: of drawing what is unknown when `first + a` are known, in the blocks so far.
  const auto U = static_cast<std::size_t>(unknown);
  std::vector<double> cost(U + 1, 0);
  for (std::size_t a = 0; a < U; ++a)
    cost[a] = double(U - a) * at(first + std::int64_t(a));
  std::vector<std::vector<std::size_t>> next{std::vector<std::size_t>(U, U)};
  for (std::int64_t blocks = 2; blocks <= count; ++blocks) {
    auto better = cost;
    auto step = next.back();  // no better: as before
    for (std::size_t a = 0; a < U; ++a) {
      for (std::size_t b = a + 1; b <= U; ++b) {
        const auto total = double(b - a) * at(first + std::int64_t(a)) + cost[b];
        if (total >= better[a]) continue;
        better[a] = total;
        step[a] = b;
      }
    }
    cost = std::move(better);
    next.push_back(std::move(step));
  }
  std::vector<std::int64_t> sizes;
  for (std::size_t a = 0; a < U && !next.empty(); next.pop_back()) {
    const auto b = next.back()[a];
    sizes.push_back(std::int64_t(b - a));
    a = b;
  }
  return sizes;
}

/// Sizes of the blocks that a query asks for.
static std::vector<std::int64_t> choose_blocks(const Query& query,
                                               const std::vector<double>& loss) {
  const auto most = (query.partial == kUnknown).sum(1).max().item<std::int64_t>();
  if (!loss.empty()) return best_blocks(loss, most, query.steps);
  std::vector<std::int64_t> sizes;
  for (std::int64_t j = 0, count = std::min(query.steps, most); j < count; ++j)
    sizes.push_back((j + 1) * most / count - j * most / count);
  return sizes;
}

std::vector<Capability> capabilities_of_conditionals() {
  return {
      {QueryKind::kLogMarginal, "chain", Status::kEstimate, "|S|", Route::kAlongOrder, true},
      {QueryKind::kLogMarginal, "ensemble", Status::kEstimate, "orders x |S|", Route::kEnsemble},
      {QueryKind::kLogMarginal, "masked", Status::kEstimate, "orders"},
      {QueryKind::kLogMarginal, "paths", Status::kEstimate, "orders x D", Route::kOther, true},
      {QueryKind::kConditionals, "one_pass", Status::kEstimate, "1", Route::kOnePass, true},
      {QueryKind::kSample, "chain", Status::kExact, "|U|, or steps", Route::kAlongOrder, true}};
}

/// In parts, so that a large batch does not need its activations all at once.
static Tensor in_parts(const LogConditionals& conditionals, const Tensor& partial) {
  std::vector<Tensor> parts;
  for (const auto& part : partial.split(rows_a_pass(partial.size(1))))
    parts.push_back(conditionals(part).to(torch::kDouble));
  return torch::cat(parts);
}

/// The passes of a query with Order::kParallel.
static Tensor draw_query_times(const Query& query, const ConditionalsInfo& info, Stream& stream) {
  if (!info.colours.defined())
    throw SpecError("order \"parallel\" needs a network with a finite receptive field, such as "
                    "lattice_conv with \"means\": "
                    "false; with this one every variable may see every other");
  if (query.steps > 0) throw SpecError("order \"parallel\" says its own number of steps");
  return draw_times(info.colours, query.partial.size(0), stream);
}

static ChainScore score(const LogConditionals& conditionals, const Query& query,
                        const ConditionalsInfo& info, Stream& stream) {
  const auto& [partial, given] = std::tie(query.partial, query.given);
  if (query.estimator == "ensemble")
    return score_ensemble(conditionals, partial, given, query.orders, stream);
  if (query.estimator == "masked")
    return score_masked(conditionals, partial, given, query.orders, stream);
  if (query.order == Order::kParallel)
    return score_in_passes(conditionals, partial, given, draw_query_times(query, info, stream));
  const auto orders = draw_orders(query.order, partial.size(0), partial.size(1), stream);
  return score_chain(conditionals, partial, given, orders);
}

static ChainSample sample(const LogConditionals& conditionals, const Query& query,
                          const ConditionalsInfo& info, Stream& stream) {
  const auto& partial = query.partial;
  if (query.order == Order::kParallel)
    return sample_in_passes(conditionals, partial, draw_query_times(query, info, stream), stream);
  const auto orders = draw_orders(query.order, partial.size(0), partial.size(1), stream);
  if (query.steps == 0 || partial.size(0) == 0)
    return sample_chain(conditionals, partial, orders, stream);
  return sample_blocks(conditionals, partial, orders, choose_blocks(query, info.loss), stream);
}

Answer answer_from_conditionals(const LogConditionals& conditionals, const Query& query,
                                Stream& stream, const ConditionalsInfo& info) {
  if (query.estimator == "paths") {
    const auto s = score_paths(conditionals, query.evidence(), query.given, query.orders, stream);
    return {.value = s.log_prob, .passes = s.passes};
  }
  if (query.allowed.defined()) return answer_of_sets(conditionals, query, stream, info);
  switch (query.kind) {
    case QueryKind::kLogMarginal: {
      const auto s = score(conditionals, query, info, stream);
      return {.value = s.log_prob, .passes = s.passes};
    }
    case QueryKind::kConditionals:
      return {.value = in_parts(conditionals, query.partial), .passes = 1};
    case QueryKind::kSample: {
      const auto s = sample(conditionals, query, info, stream);
      return {
          .value = s.log_prob, .states = s.states, .status = Status::kExact, .passes = s.passes};
    }
    case QueryKind::kMaxProbable:
    case QueryKind::kLogZ:
      break;
  }
  throw Error(fmt::format("conditionals alone do not say {}", to_string(query.kind)));
}

}  // namespace marginalia
