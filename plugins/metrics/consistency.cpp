/// \file
/// Whether a model's marginals and conditionals fit each other, and its conditionals the truth.
///
///   self_consistency: R = log p(x_S) + log p(x_i | x_S) - log p(x_{S+i})
///   sum_rule:         V = log sum_k p(x_S, x_i = k) - log p(x_S)
///   calibration:      sum_b N_b / N |mean of p - mean of 1[x_i = k]|, b bins of p = p(x_i = k |
///   x_S)
/// x true states, |S| uniform on 0..D-1, i uniform outside S. The first two need no truth: a model
/// can be consistent and wrong.
/// Source: Liu, Ramadge, Adams (2024), arXiv:2310.12920, eq. 4 to 7; Kull et al. (2019),
/// arXiv:1910.12656 (calibration class by class, here pooled).
#include <cmath>

#include <torch/types.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

constexpr std::int64_t kBins = 10;

void need_conditionals(const Family& family) {
  if (offered(family, QueryKind::kConditionals).empty())
    throw Unavailable("needs conditionals, which the family does not answer");
}

class SelfConsistency final : public Metric {
 public:
  static constexpr const char* kName = "self_consistency";
  static constexpr const char* kSummary = "one-step residual of marginals and conditionals";
  static constexpr const char* kFormula = "R = log p(x_S) + log p(x_i | x_S) - log p(x_{S+i})";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "self-consistency", "rms of log p(x_S) + log p(x_i | x_S) - log p(x_S, x_i)", "nats",
       Better::kLower, PlotKind::kBySize}};

  struct Params {
    std::int64_t queries = 1000;
    void visit(ParamVisitor& p) {
      p("queries", queries, {.doc = "but no more than there are states", .min = 1});
    }
  };
  explicit SelfConsistency(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    const auto way = need_one_pass(family);
    need_conditionals(family);
    auto& stream = evaluation.stream("self_consistency");
    const auto links = random_links(evaluation, params_.queries, stream);
    const auto i = links.variable.unsqueeze(1);
    const auto extended = links.partial.scatter(1, i, links.x.gather(1, i));
    const auto before = log_marginals(family, links.partial, way.estimator, stream).value;
    const auto after = log_marginals(family, extended, way.estimator, stream).value;
    const auto step = log_conditionals(family, links.partial, links.x, links.variable, stream);
    auto measurement = error_measurement(way.estimator, way.route, difference(before + step, after),
                                         links.size, kBins);
    measurement.more["source"] = links.source;
    return {measurement};
  }

 private:
  Params params_;
};

class SumRule final : public Metric {
 public:
  static constexpr const char* kName = "sum_rule";
  static constexpr const char* kSummary = "one-pass marginals against the sum of their extensions";
  static constexpr const char* kFormula = "V = log sum_k p(x_S, x_i = k) - log p(x_S)";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "sum rule", "|log of the sum over k of p(x_S, x_i = k), - log p(x_S)|", "nats",
       Better::kLower, PlotKind::kBySize}};

  struct Params {
    std::int64_t queries = 200;
    void visit(ParamVisitor& p) {
      p("queries", queries,
        {.doc = "K + 1 passes each; but no more than there are states", .min = 1});
    }
  };
  explicit SumRule(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    const auto way = need_one_pass(family);
    auto& stream = evaluation.stream("sum_rule");
    const auto links = random_links(evaluation, params_.queries, stream);
    const auto whole = log_marginals(family, links.partial, way.estimator, stream).value;
    const auto sum = log_sum_of_extensions(evaluation, links, way.estimator, stream);
    auto measurement =
        error_measurement(way.estimator, way.route, difference(sum, whole), links.size, kBins);
    measurement.more["source"] = links.source;
    return {measurement};
  }

 private:
  /// log sum_k p(x_S, x_i = k) over the values that x_i can take: float64 [B].
  static Tensor log_sum_of_extensions(Evaluation& evaluation, const Links& links,
                                      const std::string& estimator, Stream& stream) {
    const auto can = evaluation.space().possible().index({links.variable});  // bool [B, K]
    const auto pairs = can.nonzero();                                        // [P, 2]: row, k
    const auto row = pairs.select(1, 0), k = pairs.select(1, 1);
    const auto i = links.variable.index({row}).unsqueeze(1);
    const auto extended = links.partial.index({row}).scatter(1, i, k.unsqueeze(1));
    auto terms = torch::full(can.sizes(), -INFINITY, torch::kDouble);
    terms.index_put_({row, k},
                     log_marginals(evaluation.family(), extended, estimator, stream).value);
    return terms.logsumexp(1);
  }

  Params params_;
};

class Calibration final : public Metric {
 public:
  static constexpr const char* kName = "calibration";
  static constexpr const char* kSummary = "whether values come as often as conditionals say";
  static constexpr const char* kFormula = "sum_b N_b / N |mean predicted - mean observed|";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "calibration error", "mean |predicted - observed| probability of conditionals",
       "probability", Better::kLower, PlotKind::kReliability}};
  static constexpr const char* kSource = "Kull et al. (2019), arXiv:1910.12656, pooled";

  struct Params {
    std::int64_t queries = 1000, bins = 10;
    void visit(ParamVisitor& p) {
      p("queries", queries, {.doc = "but no more than there are states", .min = 1});
      p("bins", bins, {.doc = "of predicted probability, of equal width", .min = 1});
    }
  };
  explicit Calibration(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    need_conditionals(evaluation.family());
    if (evaluation.true_chains().of_model)
      throw Unavailable("needs states of the truth: no dataset, no chains, and no exact samples (" +
                        evaluation.oracle().reason + ")");
    auto& stream = evaluation.stream("calibration");
    const auto links = random_links(evaluation, params_.queries, stream);
    Bins bins(params_.bins);
    for (std::int64_t at = 0, step = rows_a_pass(evaluation.space().dimension());
         at < links.x.size(0); at += step)
      count(evaluation, links.x.slice(0, at, at + step), links.partial.slice(0, at, at + step),
            stream, bins);
    auto measurement =
        bins.measurement(offered(evaluation.family(), QueryKind::kConditionals).front());
    measurement.samples = links.x.size(0);
    measurement.more["source"] = links.source;
    return {measurement};
  }

 private:
  /// Sums of predicted probability and of outcomes, bin by bin: float64 [bins].
  struct Bins {
    Tensor predicted, observed, counts;
    explicit Bins(std::int64_t count) : predicted(torch::zeros({count}, torch::kDouble)) {
      observed = predicted.clone();
      counts = predicted.clone();
    }
    void add(const Tensor& p, const Tensor& outcome) {
      const auto bin = (p * counts.numel()).floor().clamp(0, counts.numel() - 1).to(torch::kLong);
      predicted.index_add_(0, bin, p);
      observed.index_add_(0, bin, outcome.to(torch::kDouble));
      counts.index_add_(0, bin, torch::ones_like(p));
    }
    Measurement measurement(const Capability& of) const {
      const auto total = counts.sum().item<double>();
      if (total == 0) throw Unavailable("no variable has more than one value");
      Measurement measurement{
          .estimator = of.estimator,
          .value = (predicted - observed).abs().sum().item<double>() / total,
          .unit = "probability",
          .more = {{"predictions", std::int64_t(total)}, {"bins", Json::array()}},
          .route = of.route};
      for (std::int64_t b = 0; b < counts.numel(); ++b) {
        const auto N = counts[b].item<double>();
        if (N == 0) continue;
        measurement.more["bins"].push_back({{"predicted", predicted[b].item<double>() / N},
                                            {"observed", observed[b].item<double>() / N},
                                            {"count", std::int64_t(N)}});
      }
      return measurement;
    }
  };

  /// What is predicted: every value of every variable, but of two values one, since the other is
  /// its complement, and of a single value none.  bool [D, K]
  static Tensor predictions(const StateSpace& space) {
    auto counted = space.possible();
    for (std::size_t i = 0; i < space.cardinalities.size(); ++i)
      if (space.cardinalities[i] <= 2) counted[std::int64_t(i)][0] = false;
    return counted;
  }

  static void count(Evaluation& evaluation, const Tensor& x, const Tensor& partial, Stream& stream,
                    Bins& bins) {
    const auto p = evaluation.family()
                       .answer({.kind = QueryKind::kConditionals, .partial = partial}, stream)
                       .value.exp();  // [B, D, K]
    const auto outcome = x.unsqueeze(2) == torch::arange(p.size(2));
    const auto asked =
        (partial == kUnknown).unsqueeze(2).logical_and(predictions(evaluation.space()));
    bins.add(p.masked_select(asked), outcome.masked_select(asked));
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(consistency, SelfConsistency, SumRule, Calibration);
