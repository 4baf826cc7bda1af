/// \file
/// What simpler models reach on the same rows: independent variables and the tree of Chow and Liu,
/// counted in the training rows, and where all variables are numbers a mixture of normal densities.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <torch/types.h>

#include <marginalia/inference/tree.h>
#include <marginalia/plugin.h>

#include "shared/measure/gaussian_mixture.h"
#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class Baselines final : public Metric {
 public:
  static constexpr const char* kName = "baselines";
  static constexpr const char* kSummary =
      "negative log-likelihood of independent variables, of the Chow-Liu tree and, of numbers, of "
      "a "
      "Gaussian mixture, fitted to the training rows, and what the model gains on them";
  static constexpr const char* kFormula = "mean of -log p(x) over held-out states";
  static constexpr const char* kSource = "Chow and Liu (1968), IEEE Trans. Inf. Theory 14, 462";

  static constexpr MeasurementInfo kMeasurements[] = {
      {"independent", "likelihood of simpler models",
       "mean of -log prod_i p(x_i) over held-out states", "nats", Better::kLower, PlotKind::kNone,
       ColumnKind::kAside},
      {"chow_liu", "likelihood of simpler models",
       "mean of -log prod_i p(x_i | x_parent(i)) over held-out states", "nats", Better::kLower,
       PlotKind::kNone, ColumnKind::kAside},
      {"gaussian_mixture", "likelihood of simpler models",
       "mean of -log sum_c w_c N(x; m_c, S_c) over held-out states, in units of the resolution",
       "nats", Better::kLower, PlotKind::kNone, ColumnKind::kAside}};

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
    const auto recorded = within_levels(evaluation);
    auto of_model = model_log_p(evaluation, x);
    if (of_model.defined()) of_model = of_model + recorded;
    const auto tree = [&](const std::string& name, bool pairs) {
      const auto log_p = trees::log_marginal(fit(*dataset, pairs), x) + recorded;
      return measurement(name, log_p, of_model, evaluation.data_weights());
    };
    std::vector<Measurement> measurements{tree("independent", false)};
    if (dataset->space().dimension() * dataset->space().levels() <= kMostValues)
      measurements.push_back(tree("chow_liu", true));
    if (evaluation.data_recorded().defined())
      if (auto mixture = gaussian_mixture(evaluation, of_model)) measurements.push_back(*mixture);
    return measurements;
  }

 private:
  static constexpr std::int64_t kMostValues = 4096;  // whose pairs are counted: 128 MiB

  /// Where rows have gaps, the tree's tables by EM on the edges of the pairs that are known.
  static trees::Tree fit(const Dataset& dataset, bool pairs) {
    constexpr int kRounds = 5;
    const auto& space = dataset.space();
    const auto a = double(space.levels());
    const auto counts = trees::count_values(dataset, pairs);
    if (!pairs) return trees::independent(counts, space, a);
    auto tree = trees::chow_liu(counts, space, a);
    for (int round = 0; dataset.has_gaps() && round < kRounds; ++round)
      tree = trees::improved(tree, dataset, a);
    return tree;
  }

  /// Of each row log p(what was recorded | its levels): float64 [N].
  static Tensor within_levels(Evaluation& evaluation) {
    const auto& cells = evaluation.data_log_recorded();
    if (cells.defined()) return cells.sum(1);
    return torch::zeros({evaluation.data_rows().size(0)}, torch::kDouble);
  }

  /// Numbers of rows without gaps, some of them where they are many.
  static Tensor whole_rows(const Dataset& dataset, Split split, Stream& stream) {
    constexpr std::int64_t kMostRows = 10'000;
    const auto size = dataset.size(split);
    const auto some = stream.permutations(1, size)[0].slice(0, 0, std::min(size, kMostRows));
    const auto x = dataset.recorded(split, some);
    return x.index_select(0, x.isnan().any(1).logical_not().nonzero().squeeze(1));
  }

  /// As many components as the validation rows like best, of those without gaps; nothing where all
  /// training rows have some.
  static std::optional<Measurement> gaussian_mixture(Evaluation& evaluation,
                                                     const Tensor& of_model) {
    constexpr std::int64_t kMostComponents = 32;
    auto& stream = evaluation.stream("baselines/gaussian_mixture");
    const auto train = whole_rows(*evaluation.dataset(), Split::kTrain, stream);
    const auto valid = whole_rows(*evaluation.dataset(), Split::kValid, stream);
    if (train.size(0) == 0) return {};
    GaussianMixture best;
    std::int64_t components = 0;
    double highest = -INFINITY;
    for (std::int64_t C = 1; C <= std::min(kMostComponents, train.size(0)); C *= 2) {
      auto mixture = fit_gaussian_mixture(train, C, stream);
      const auto& judged = valid.size(0) > 0 ? valid : train;
      const auto mean = log_density(mixture, judged).mean().item<double>();
      if (C > 1 && !(mean > highest)) break;
      highest = mean;
      components = C;
      best = std::move(mixture);
      if (valid.size(0) == 0) break;  // nothing says how many
    }
    auto result = measurement("gaussian_mixture", log_density(best, evaluation.data_recorded()),
                              of_model, evaluation.data_weights());
    result.more["components"] = components;
    return result;
  }

  /// log p of each row by the family's first estimator; undefined where it has none.
  static Tensor model_log_p(Evaluation& evaluation, const Tensor& x) {
    const auto ways = offered(evaluation.family(), QueryKind::kLogMarginal);
    if (ways.empty()) return {};
    return log_marginals(evaluation.family(), x, ways.front().estimator,
                         evaluation.stream("baselines/model"))
        .value;
  }

  /// log_p, of_model: of each row as it was recorded, float64 [N].
  static Measurement measurement(const std::string& name, const Tensor& log_p,
                                 const Tensor& of_model, const Tensor& weights) {
    const auto nll = compute_mean(-log_p, weights);
    Measurement result{.estimator = name,
                       .value = nll.value,
                       .status = Status::kExact,
                       .stderr_ = nll.error,
                       .samples = log_p.size(0)};
    if (!of_model.defined()) return result;
    const auto gain = compute_mean(of_model - log_p, weights);
    result.more["gain"] = json_number(gain.value);
    if (gain.error) result.more["gain_error"] = json_number(*gain.error);
    return result;
  }
};

}  // namespace
MARGINALIA_PART(baselines, Baselines);
