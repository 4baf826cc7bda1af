#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/any_order.h>
#include <marginalia/error.h>

namespace marginalia {

Tensor draw_orders(Order order, std::int64_t rows, std::int64_t dimension, Stream& stream) {
  if (order == Order::kRandom) return stream.permutations(rows, dimension);
  const auto forward = torch::arange(dimension);
  return (order == Order::kForward ? forward : forward.flip(0))
      .expand({rows, dimension})
      .contiguous();
}

Tensor ranks_of(const Tensor& orders) {
  auto ranks = torch::empty_like(orders);
  const auto times = torch::arange(orders.size(1)).expand_as(orders).contiguous();
  return ranks.scatter_(1, orders, times);
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

ChainScore score_chain(const LogConditionals& conditionals, const Tensor& partial,
                       const Tensor& given, const Tensor& orders, std::int64_t chunk) {
  const auto B = partial.size(0);
  const auto is_given =
      given.defined() ? given != kUnknown : torch::zeros_like(partial, torch::kBool);
  const auto scored = (partial != kUnknown).logical_and(is_given.logical_not());
  const auto ranks = ranks_among(scored, is_given, orders);
  const auto pairs = scored.nonzero();  // [N, 2]: row, variable
  const auto rows = pairs.select(1, 0), variables = pairs.select(1, 1);
  const auto time = ranks.index({rows, variables});
  auto log_prob = torch::zeros({B}, torch::kDouble);
  for (std::int64_t at = 0; at < rows.size(0); at += chunk) {
    const auto r = rows.slice(0, at, at + chunk), v = variables.slice(0, at, at + chunk);
    const auto x = partial.index({r});  // [C, D]
    const auto known = ranks.index({r}) < time.slice(0, at, at + chunk).unsqueeze(1);
    const auto log_p = conditionals(x.masked_fill(known.logical_not(), kUnknown));  // [C, D, K]
    const auto here = torch::arange(r.size(0));
    const auto value = x.index({here, v});
    log_prob.index_add_(0, r, log_p.index({here, v, value}).to(torch::kDouble));
  }
  return {log_prob, B ? double(rows.size(0)) / double(B) : 0};
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

ChainSample sample_chain(const LogConditionals& conditionals, const Tensor& partial,
                         const Tensor& orders, Stream& stream) {
  const auto B = partial.size(0), D = partial.size(1);
  auto x = partial.clone();
  auto log_prob = torch::zeros({B}, torch::kDouble);
  const auto unknown = partial == kUnknown;
  // Unknown variables first, in the order's sequence, so that rows with as many of them keep step.
  const auto rank = ranks_of(orders).masked_fill(unknown.logical_not(), D);
  const auto sequence = rank.argsort(std::int64_t{1});
  const auto count = unknown.sum(1);
  const auto steps = B ? count.max().item<std::int64_t>() : 0;
  for (std::int64_t t = 0; t < steps; ++t) {
    const auto rows = (count > t).nonzero().squeeze(1);
    const auto variable = sequence.select(1, t).index({rows});
    const auto here = torch::arange(rows.size(0));
    const auto log_p = conditionals(x.index({rows})).index({here, variable}).to(torch::kDouble);
    const auto value = torch::multinomial(log_p.exp(), 1, false, stream.generator()).squeeze(1);
    x.index_put_({rows, variable}, value);
    log_prob.index_add_(0, rows, log_p.index({here, value}));
  }
  return {x, log_prob, B ? count.to(torch::kDouble).mean().item<double>() : 0};
}

std::vector<Capability> capabilities_of_conditionals() {
  return {{QueryKind::kLogMarginal, "chain", Status::kEstimate, "|S|"},
          {QueryKind::kLogMarginal, "ensemble", Status::kEstimate, "orders x |S|"},
          {QueryKind::kConditionals, "one_pass", Status::kEstimate, "1"},
          {QueryKind::kSample, "chain", Status::kExact, "|U|"}};
}

/// In parts, so that a large batch does not need its activations all at once.
static Tensor in_parts(const LogConditionals& conditionals, const Tensor& partial) {
  std::vector<Tensor> parts;
  for (const auto& part : partial.split(4096))
    parts.push_back(conditionals(part).to(torch::kDouble));
  return torch::cat(parts);
}

Answer answer_from_conditionals(const LogConditionals& conditionals, const StateSpace& space,
                                const Query& query, Stream& stream) {
  Answer answer;
  const auto B = query.partial.size(0), D = space.dimension();
  switch (query.kind) {
    case QueryKind::kLogMarginal: {
      const auto score =
          query.estimator == "ensemble"
              ? score_ensemble(conditionals, query.partial, query.given, query.orders, stream)
              : score_chain(conditionals, query.partial, query.given,
                            draw_orders(query.order, B, D, stream));
      answer.value = score.log_prob;
      answer.passes = score.passes;
      break;
    }
    case QueryKind::kConditionals:
      answer.value = in_parts(conditionals, query.partial);
      answer.passes = 1;
      break;
    case QueryKind::kSample: {
      const auto sample =
          sample_chain(conditionals, query.partial, draw_orders(query.order, B, D, stream), stream);
      answer.states = sample.states;
      answer.value = sample.log_prob;
      answer.passes = sample.passes;
      answer.status = Status::kExact;
      break;
    }
    case QueryKind::kLogZ:
      throw Error("conditionals alone do not say log Z");
  }
  return answer;
}

}  // namespace marginalia
