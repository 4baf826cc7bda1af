/// \file
/// Marginals of single variables given evidence, against the exact ones: the measure of the UAI
/// inference competitions.
///
///   e = mean over i not in S and k < K_i of |q(x_i = k | x_S) - p(x_i = k | x_S)|
#include <torch/types.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class SingleMarginals final : public Metric {
 public:
  static constexpr const char* kName = "single_marginals";
  static constexpr const char* kSummary =
      "mean absolute error of the probabilities of single variables, given random evidence";
  static constexpr const char* kFormula =
      "mean over S, i not in S and k of |q(x_i = k | x_S) - p(x_i = k | x_S)|";
  static constexpr const char* kSource = "Gogate (2014), UAI Inference Competition (task MAR), "
                                         "there the largest deviation by variable";

  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "single marginals", "mean |q(x_i = k | x_S) - p(x_i = k | x_S)| over i, k and S",
       "probability", Better::kLower, PlotKind::kBySize}};

  struct Params {
    SubsetParams subsets{{0, 10, 30, 50}, 25};
    void visit(ParamVisitor& p) { subsets.visit(p); }
  };
  explicit SingleMarginals(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto oracle = evaluation.oracle();
    if (!oracle)
      throw Unavailable("needs exact marginals, but there is no oracle: " + oracle.reason);
    if (!evaluation.family().offers(QueryKind::kConditionals))
      throw Unavailable("the family answers no conditionals of single variables");
    const auto queries =
        oracle_subsets(evaluation, params_.subsets, evaluation.stream("single_marginals/queries"));
    const auto model = conditionals(evaluation, queries.partial);
    const auto possible = evaluation.space().possible();
    const auto B = queries.partial.size(0);
    auto error = torch::zeros({B}, torch::kDouble);
    double worst = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      const auto row = queries.partial[b];
      const auto unknown = (row == kUnknown).unsqueeze(1).logical_and(possible);  // [D, K]
      if (!unknown.any().item<bool>()) continue;
      const auto apart = (model[b] - oracle->single_marginals(row)).abs().masked_select(unknown);
      error[b] = apart.mean();
      worst = std::max(worst, apart.max().item<double>());
    }
    const auto way = offered(evaluation.family(), QueryKind::kConditionals)[0];
    auto measurement = error_measurement(way.estimator, way.route, error, queries.size, 51);
    const auto mean = compute_mean(error);
    measurement.value = mean.value;
    measurement.stderr_ = mean.error;
    measurement.unit = "probability";
    measurement.more["max"] = worst;
    measurement.more["source"] = queries.source;
    return {measurement};
  }

 private:
  /// q(x_i = k | x_S): float64 [B, D, K].
  static Tensor conditionals(Evaluation& evaluation, const Tensor& partial) {
    std::vector<Tensor> parts;
    auto& stream = evaluation.stream("single_marginals/model");
    for (const auto& rows : partial.split(rows_a_pass(partial.size(1)))) {
      const auto answer =
          evaluation.family().answer({.kind = QueryKind::kConditionals, .partial = rows}, stream);
      parts.push_back(answer.value.exp());
    }
    return torch::cat(parts);
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(single_marginals, SingleMarginals);
