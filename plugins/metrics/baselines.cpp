/// \file
/// What counting alone reaches on the same rows: independent variables and the tree of Chow and
/// Liu, fitted to the training rows.
#include <torch/types.h>

#include <marginalia/inference/tree.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class Baselines final : public Metric {
 public:
  static constexpr const char* kName = "baselines";
  static constexpr const char* kSummary =
      "negative log-likelihood of independent variables and of the Chow-Liu tree, fitted to the "
      "training rows, and what the model gains on them";
  static constexpr const char* kFormula = "mean of -log p(x) over held-out states";
  static constexpr const char* kSource = "Chow and Liu (1968), IEEE Trans. Inf. Theory 14, 462";

  static constexpr MeasurementInfo kMeasurements[] = {
      {"independent", "likelihood by counting", "mean of -log prod_i p(x_i) over held-out states",
       "nats", Better::kLower, PlotKind::kNone, ColumnKind::kAside},
      {"chow_liu", "likelihood by counting",
       "mean of -log prod_i p(x_i | x_parent(i)) over held-out states", "nats", Better::kLower,
       PlotKind::kNone, ColumnKind::kAside}};

  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit Baselines(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto* dataset = evaluation.dataset();
    if (!dataset) throw Unavailable("needs a dataset to count");
    const auto& x = evaluation.data_rows();
    if (x.size(0) == 0)
      throw Unavailable("there are no rows in the split " +
                        std::string(to_string(evaluation.split())));
    const auto& cells = evaluation.data_log_recorded();
    const auto recorded =
        cells.defined() ? cells.sum(1) : torch::zeros({x.size(0)}, torch::kDouble);
    const auto of_model = model_log_p(evaluation, x);
    std::vector<Measurement> measurements{
        measurement("independent", fit(*dataset, false), x, recorded, of_model)};
    if (dataset->space().dimension() * dataset->space().levels() <= kMostValues)
      measurements.push_back(measurement("chow_liu", fit(*dataset, true), x, recorded, of_model));
    return measurements;
  }

 private:
  static constexpr std::int64_t kMostValues = 4096;  // whose pairs are counted: 128 MiB

  /// Where rows have gaps, the tree's tables by EM on the edges of the pairs that are known.
  static trees::Tree fit(const Dataset& dataset, bool pairs) {
    constexpr int kRounds = 5;
    constexpr std::int64_t kRows = 8192;
    const auto& space = dataset.space();
    const auto a = double(space.levels());
    const auto counts = trees::count_values(dataset, pairs);
    if (!pairs) return trees::independent(counts, space, a);
    auto tree = trees::chow_liu(counts, space, a);
    for (int round = 0; dataset.has_gaps() && round < kRounds; ++round) {
      auto expected = torch::zeros_like(tree.p);
      for (const auto& at : torch::arange(dataset.size(Split::kTrain)).split(kRows))
        expected += trees::expected_pairs(tree, dataset.rows(Split::kTrain, at));
      tree = trees::with_pairs(tree, expected, space, a);
    }
    return tree;
  }

  /// log p of each row by the family's first estimator; undefined where it has none.
  static Tensor model_log_p(Evaluation& evaluation, const Tensor& x) {
    const auto ways = offered(evaluation.family(), QueryKind::kLogMarginal);
    if (ways.empty()) return {};
    return log_marginals(evaluation.family(), x, ways.front().estimator,
                         evaluation.stream("baselines/model"))
        .value;
  }

  static Measurement measurement(const std::string& name, const trees::Tree& tree, const Tensor& x,
                                 const Tensor& recorded, const Tensor& of_model) {
    const auto log_p = trees::log_marginal(tree, x);
    const auto nll = compute_mean(-(log_p + recorded));
    Measurement result{.estimator = name,
                       .value = nll.value,
                       .status = Status::kExact,
                       .stderr_ = nll.error,
                       .samples = x.size(0)};
    if (!of_model.defined()) return result;
    const auto gain = compute_mean(of_model - log_p);
    result.more["gain"] = json_number(gain.value);
    if (gain.error) result.more["gain_error"] = json_number(*gain.error);
    return result;
  }
};

}  // namespace
MARGINALIA_PART(baselines, Baselines);
