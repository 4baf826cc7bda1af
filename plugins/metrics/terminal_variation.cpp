/// \file
/// How far the law of the model's samples is from the target, with no sample drawn: its mass is
/// pushed through all partial states.
///
///   mass(empty) = 1,   mass(x_{S+i}) = sum over i of w_i(S) mass(x_S) q(x_i | x_S)
///   TV = 1/2 sum_x |mass(x) - p(x)|
/// Variables are revealed in uniformly random order, w_i(S) = 1 / (D - |S|), through
/// prod_i (K_i + 1) partial states; or one after the other, w = 1 for the next of them alone,
/// through as many as there are beginnings. |S| grows by one a round, and two rounds are kept.
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/family.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

using Mask = std::uint32_t;  // S, bit i for variable i

/// The partial states x_S of every S of one size: those of a subset stand together, the value of
/// its last variable fastest.
struct Round {
  std::vector<Mask> subsets;
  std::vector<std::int64_t> first;  ///< by S: the place of its first state, -1 where it has none
  std::vector<double> mass;
};

/// Pushes the mass of a family's samples from the empty state to the full ones.
class Push {
 public:
  Push(const Family& family, Order order, std::int64_t rows, Stream& stream)
      : family_(family),
        K_(family.space().cardinalities),
        D_(family.space().dimension()),
        order_(order),
        rows_(rows),
        stream_(stream) {}

  /// float64 [prod_i K_i], in counting order.
  Tensor run() {
    Round round = find_next({});
    round.mass[0] = 1;
    for (std::int64_t size = 0; size < D_; ++size)
      round = pushed(round, size);
    return torch::tensor(round.mass, torch::kDouble);
  }
  std::int64_t states() const { return states_; }

 private:
  struct Place {
    Mask subset;
    std::int64_t state;  // of those of the subset
  };

  /// Whether variable i may be revealed next, and its weight w_i(S).
  double weight(std::int64_t i, std::int64_t size) const {
    if (order_ == Order::kRandom) return 1 / double(D_ - size);
    return i == (order_ == Order::kForward ? size : D_ - 1 - size) ? 1 : 0;
  }

  /// The subsets that follow those of `round`, or where there are none the empty one.
  Round find_next(const Round& round) const {
    Round next;
    next.first.assign(std::size_t(1) << D_, -1);
    std::int64_t total = 0;
    const auto add = [&](Mask subset) {
      auto& first = next.first[subset];
      if (first >= 0) return;
      first = total;
      total += count(subset, 0);
      next.subsets.push_back(subset);
    };
    if (round.subsets.empty()) add(0);
    const auto size =
        round.subsets.empty() ? 0 : std::int64_t(__builtin_popcount(round.subsets[0]));
    for (const auto subset : round.subsets)
      for (std::int64_t i = 0; i < D_; ++i)
        if (!has(subset, i) && weight(i, size) > 0) add(subset | Mask(1) << i);
    next.mass.assign(std::size_t(total), 0);
    return next;
  }

  Round pushed(const Round& round, std::int64_t size) {
    auto next = find_next(round);
    std::vector<Place> places;
    for (const auto subset : round.subsets)
      for (std::int64_t state = 0, n = count(subset, 0); state < n; ++state) {
        places.push_back({subset, state});
        if (std::int64_t(places.size()) == rows_) flush(places, round, size, next);
      }
    flush(places, round, size, next);
    return next;
  }

  void flush(std::vector<Place>& places, const Round& round, std::int64_t size, Round& next) {
    if (places.empty()) return;
    const auto p = family_
                       .answer({.kind = QueryKind::kConditionals,
                                .partial = make_partial(places),
                                .estimator = "one_pass"},
                               stream_)
                       .value.exp()
                       .contiguous();  // [B, D, K]
    const auto* q = p.data_ptr<double>();
    const auto levels = p.size(2);
    for (const auto& [subset, state] : places) {
      const auto mass = round.mass[std::size_t(round.first[subset] + state)];
      for (std::int64_t i = 0; i < D_; ++i) {
        const auto w = has(subset, i) ? 0 : weight(i, size);
        if (w == 0) continue;
        const auto after = count(subset, i + 1), first = next.first[subset | Mask(1) << i];
        const auto known = state / after * K_[std::size_t(i)];  // what stands before i
        for (std::int64_t k = 0; k < K_[std::size_t(i)]; ++k)
          next.mass[std::size_t(first + (known + k) * after + state % after)] +=
              w * mass * q[i * levels + k];
      }
      q += D_ * levels;
    }
    states_ += std::int64_t(places.size());
    places.clear();
  }

  Tensor make_partial(const std::vector<Place>& places) const {
    auto partial = torch::full({std::int64_t(places.size()), D_}, kUnknown, torch::kLong);
    auto* x = partial.data_ptr<std::int64_t>();
    for (auto [subset, state] : places) {
      for (auto i = D_; i-- > 0;)
        if (has(subset, i)) {
          x[i] = state % K_[std::size_t(i)];
          state /= K_[std::size_t(i)];
        }
      x += D_;
    }
    return partial;
  }

  static bool has(Mask subset, std::int64_t i) { return subset >> i & 1; }
  /// States of the variables of `subset` from `begin` on.
  std::int64_t count(Mask subset, std::int64_t begin) const {
    std::int64_t n = 1;
    for (auto i = begin; i < D_; ++i)
      if (has(subset, i)) n *= K_[std::size_t(i)];
    return n;
  }

  const Family& family_;
  std::vector<std::int64_t> K_;
  std::int64_t D_;
  Order order_;
  std::int64_t rows_;
  Stream& stream_;
  std::int64_t states_ = 0;
};

class TerminalVariation final : public Metric {
 public:
  static constexpr const char* kName = "terminal_variation";
  static constexpr const char* kSummary =
      "total variation between the exact law of the model's samples and a small target";
  static constexpr const char* kFormula =
      "1/2 sum_x |q(x) - p(x)|,  q by pushing mass through all partial states";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"exact", "terminal variation", "1/2 sum over x of |q(x) - p(x)|, q the law of the samples",
       "probability", Better::kLower}};

  struct Params {
    std::string order = "samples";
    std::int64_t limit = std::int64_t{1} << 26, rows = 4096;
    void visit(ParamVisitor& p) {
      p("order", order,
        {.doc = "in which variables are revealed; samples: as evaluation.order",
         .one_of = {"samples", "random", "forward", "backward"}});
      p("limit", limit,
        {.doc = "most partial states, each of which takes a pass: prod (K_i + 1) in random order",
         .min = 1});
      p("rows", rows, {.doc = "passes at a time", .min = 1});
    }
  };
  explicit TerminalVariation(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    if (!evaluation.energy()) throw Unavailable("needs an energy");
    const auto& space = evaluation.space();
    if (space.log_states() > std::log(double(kEnumerationLimit)) + 1e-9)
      throw Unavailable(fmt::format("needs at most {} states, to list them", kEnumerationLimit));
    if (!evaluation.family().by_route(QueryKind::kConditionals, Route::kOnePass))
      throw Unavailable("needs the conditionals that samples are drawn by, in one pass; of these "
                        "the family offers: " +
                        list_estimators(offered(evaluation.family(), QueryKind::kConditionals)));
    const auto order =
        order_named(params_.order == "samples" ? evaluation.model_samples().order : params_.order);
    check_cost(space, order);
    Push push(evaluation.family(), order, params_.rows, evaluation.stream("terminal_variation"));
    const auto q = push.run();
    return {compared(q, target(evaluation), std::string(to_string(order)), push.states())};
  }

 private:
  void check_cost(const StateSpace& space, Order order) const {
    if (order == Order::kParallel)
      throw Unavailable("is for random order or a fixed one, not for \"parallel\"");
    double partial = space.dimension() > 24 ? INFINITY : 1;  // subsets are listed too
    for (const auto k : space.cardinalities)
      partial *= double(order == Order::kRandom ? k + 1 : k);
    if (partial > double(params_.limit))
      throw Unavailable(fmt::format("needs a pass for each of {:.3g} partial states, more than "
                                    "\"limit\" {}",
                                    partial, params_.limit));
  }

  /// p of all states: float64 [prod_i K_i].
  static Tensor target(const Evaluation& evaluation) {
    const auto log_z = evaluation.oracle()->log_z();
    return (evaluation.energy()->log_density(all_states(evaluation.space())) - log_z).exp();
  }

  static Measurement compared(const Tensor& q, const Tensor& p, const std::string& order,
                              std::int64_t passes) {
    const auto kl = [](const Tensor& a, const Tensor& b) {
      return (at::xlogy(a, a) - at::xlogy(a, b)).sum().item<double>();
    };
    return {.estimator = "exact",
            .value = 0.5 * (q - p).abs().sum().item<double>(),
            .unit = "probability",
            .status = Status::kExact,
            .samples = q.numel(),
            .more = {{"order", order},
                     {"kl_reverse", json_number(kl(q, p))},
                     {"kl_forward", json_number(kl(p, q))},
                     {"largest", (q - p).abs().max().item<double>()},
                     {"passes", passes}},
            .route = Route::kExact};
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(terminal_variation, TerminalVariation);
