#include "certify_question.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/elimination.h>

#include "inference/exact/elimination_plan.h"

namespace marginalia::certify {

namespace {

/// log2 of the entries of messages that are worth computing anew for every sample.
constexpr double kChainBits = 5;
/// Entries of messages that one core sums in a second, of pairwise factors of binary variables.
constexpr double kEntriesPerSecond = 5e7;
/// GiB that the messages of a sum may take, whatever the time limit.
constexpr double kMaxMemory = 1;

Tensor to_index(const std::vector<std::int64_t>& variables) {
  return torch::tensor(variables, torch::kLong);
}

/// The variables that are unknown in x, int64 [D].
std::vector<std::int64_t> find_unknown(const Tensor& x) {
  std::vector<std::int64_t> variables;
  for (std::int64_t i = 0; i < x.size(0); ++i)
    if (x.data_ptr<std::int64_t>()[i] == kUnknown) variables.push_back(i);
  return variables;
}

/// Whether half of `seconds` is enough to sum everything out: the entries of the messages, which
/// are what takes memory, are what takes time.
bool affordable(const FactorModel& model, double seconds) {
  constexpr double kBytes = sizeof(double), kGiB = 1 << 30;
  if (seconds <= 0) return false;
  const auto most = std::min(0.5 * seconds * kEntriesPerSecond, kMaxMemory * kGiB / kBytes);
  const auto supported = restricted(model, supported_values(model));
  std::vector<std::vector<std::int64_t>> scopes;
  for (const auto& factor : supported.factors)
    scopes.push_back(factor.scope);
  return greedy_cost(supported.cardinalities, scopes, most).complete;
}

Question energy_question(const Energy& energy, const Tensor& x) {
  const auto log_f = [&energy](const Tensor& states) { return energy.log_density(states); };
  SampledSum sum{.state = x, .open = find_unknown(x), .log_sum = log_f};
  if (const auto factors = energy.factors()) {
    const auto left = conditioned(*factors, x.data_ptr<std::int64_t>());
    if (left.constant == -INFINITY) return ExactSum{-INFINITY};
    std::vector<std::int64_t> places(left.variables.size());
    std::iota(places.begin(), places.end(), 0);
    sum.graph = UnknownGraph{find_neighbours(left.model), places};
  }
  if (sum.open.empty()) return ExactSum{energy.log_density(x.unsqueeze(0)).item<double>()};
  return sum;
}

Question factor_question(const FactorModel& model, const Tensor& x, double exact_width,
                         double seconds) {
  const auto left =
      std::make_shared<const Conditioned>(conditioned(model, x.data_ptr<std::int64_t>()));
  if (left->variables.empty() || left->constant == -INFINITY) return ExactSum{left->constant};
  const auto U = std::int64_t(left->variables.size());
  const auto sums =
      std::make_shared<const Elimination>(left->model, StateSpace{left->model.cardinalities, {U}});
  const auto neighbours = find_neighbours(left->model);
  if (cutset(left->model, neighbours, exact_width).empty() || affordable(left->model, seconds))
    return ExactSum{left->constant + sums->log_z()};
  const auto places = cutset(left->model, neighbours, std::min(exact_width, kChainBits));
  std::vector<std::int64_t> open;
  for (const auto place : places)
    open.push_back(left->variables[std::size_t(place)]);
  const auto log_sum = [left, sums](const Tensor& states) {
    return left->constant + sums->log_sum(states.index_select(1, to_index(left->variables)));
  };
  return SampledSum{.state = x,
                    .open = open,
                    .log_sum = log_sum,
                    .route = std::int64_t(open.size()) < U ? "mixed" : "network",
                    .graph = UnknownGraph{neighbours, places}};
}

/// By an oracle whose cost does not grow with the width: those, planar ones, say their digits.
std::optional<ExactSum> planar_sum(const Energy& energy, const Tensor& x) {
  if (!energy.factors()) return std::nullopt;
  const auto oracle = energy.exact();
  if (!oracle || !oracle->digits() || !oracle->can_sum(x.unsqueeze(0)).item<bool>())
    return std::nullopt;
  return ExactSum{oracle->log_sum(x.unsqueeze(0)).item<double>(),
                  std::pow(10.0, -*oracle->digits())};
}

/// log p(x_S) where the family answers it exactly.
std::optional<double> exact_answer(const Family& family, const Tensor& x) {
  for (const auto& c : family.capabilities())
    if (c.kind == QueryKind::kLogMarginal && c.status == Status::kExact) {
      Stream unused(0, "exact");
      const Query query{.partial = x.unsqueeze(0), .estimator = c.estimator};
      return family.answer(query, unused).value.item<double>();
    }
  return std::nullopt;
}

/// f = prod_t p(x_t | x_{<t}) along the forward order.
Question model_question(const Subject& subject, const Tensor& x) {
  if (const auto exact = exact_answer(*subject.family, x)) return ExactSum{*exact};
  const auto D = x.size(0);
  const auto open = find_unknown(x);
  const auto log_p = [&proposal = subject.proposal, D](const Tensor& states) {
    const auto nothing = torch::full_like(states, kUnknown);
    return proposal.score(states, nothing, torch::arange(D)).log_prob;
  };
  const auto rounding = kConditionalsRounding * double(D);  // of as many terms
  // The variables that begin the order have a probability that is a product of conditionals.
  if (open.empty() || open.front() == D - std::int64_t(open.size()))
    return ExactSum{log_p(x.unsqueeze(0)).item<double>(), rounding};
  return SampledSum{
      .state = x, .open = open, .log_sum = log_p, .passes = double(D), .rounding = rounding};
}

}  // namespace

Question make_question(const Subject& subject, const Tensor& x, double seconds) {
  if (!subject.energy) return model_question(subject, x);
  auto question = [&] {
    if (const auto factors = subject.energy->factors(); factors && subject.exact_width > 0)
      return factor_question(*factors, x, subject.exact_width, seconds);
    return energy_question(*subject.energy, x);
  }();
  if (subject.exact_width <= 0 || std::holds_alternative<ExactSum>(question)) return question;
  if (const auto sum = planar_sum(*subject.energy, x)) return *sum;
  return question;
}

Tensor RevealSchedule::times(const SampledSum& sum, std::size_t level) const {
  auto time = torch::full_like(sum.state, -1);
  const auto open = to_index(sum.open);
  if (kSpacings[level] == 0 && colours_.defined()) {
    // those that occur, without gaps
    const auto of_open = colours_.index_select(0, open);
    return time.index_put_({open}, std::get<1>(at::_unique2(of_open, true, true)));
  }
  const auto spacing = sum.graph ? kSpacings[level] : 0;
  const auto passes = spacing > 0 ? spaced_passes(sum.graph->neighbours, sum.graph->places, spacing)
                                  : spaced_passes(Neighbours(sum.open.size()), sum.open, 0);
  return time.index_put_({open}, to_index(passes));
}

double RevealSchedule::count(const SampledSum& sum, std::size_t level) const {
  return double(times(sum, level).max().item<std::int64_t>() + 1);
}

void RevealSchedule::saw(std::size_t level, const Tensor& log_weight) {
  constexpr double kMemory = 1000;  // samples
  const auto possible = log_weight.masked_select(log_weight > -INFINITY);
  if (possible.numel() < 2) return;
  const auto samples = double(possible.numel());
  log_variance_ = possible.var().item<double>();
  const auto relative = (possible - possible.max()).exp();
  const auto mean = relative.mean();
  const auto variance = (relative.var() / mean.square()).item<double>();
  const auto weight = std::min(kMemory, weight_[level]);
  variance_[level] = (weight * variance_[level] + samples * variance) / (weight + samples);
  weight_[level] = weight + samples;
}

/// The cheapest level that was seen, by passes times the samples that a side of `needed` nats
/// takes; one up where the variance costs more samples than the bound itself does.
std::size_t RevealSchedule::choose(const SampledSum& sum, double needed) const {
  if (!sum.graph) return kLevels - 1;
  constexpr double kLog = 5;  // log(1 / delta), and what the mixture over bets costs
  const auto samples = [&](std::size_t level) {  // sqrt(2 v L / N) + L / N = needed
    const auto root = (std::sqrt(2 * variance_[level] * kLog) +
                       std::sqrt(2 * variance_[level] * kLog + 4 * needed * kLog)) /
                      (2 * needed);
    return root * root;
  };
  std::size_t best = 1, seen = 0;
  double least = INFINITY;
  for (std::size_t level = 0; level < kLevels; ++level) {
    if (weight_[level] == 0) continue;
    ++seen;
    if (const auto cost = samples(level) * count(sum, level); cost < least) {
      least = cost;
      best = level;
    }
  }
  if (seen == 0) return best;
  const bool up = variance_[best] > 0.5 * needed;
  if (up && best + 1 < kLevels && weight_[best + 1] == 0) return best + 1;
  return best;
}

}  // namespace marginalia::certify
