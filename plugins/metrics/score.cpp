/// \file
/// What an energy says of the model's samples before a temperature: of each score g,
///
///   value = sum_n g_n / N,   spread = sqrt(sum_n (g_n - value)^2 / (N - 1)),
/// and where a value of g is wanted
///   bias = value - target,   rms = sqrt(sum_n (g_n - target)^2 / N),
/// over those of the samples that have a g.
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;

class ScoreMetric final : public Metric {
 public:
  static constexpr const char* kName = "score";
  static constexpr const char* kSummary =
      "mean and spread of the energy's scores over the model's samples, against their targets";
  static constexpr const char* kFormula = "E_q[g(x)], sd_q[g(x)], sqrt E_q[(g(x) - target)^2]";

  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "score", "what the energy says of the model's samples: mean over them", ""}};

  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit ScoreMetric(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    if (!evaluation.energy()) throw Unavailable("needs an energy");
    const auto readable = evaluation.energy()->readable();
    if (!readable) throw Unavailable("needs an energy that gives a score: " + readable.reason);
    if (measure::offered(evaluation.family(), QueryKind::kSample).empty())
      throw Unavailable("needs samples of the model, and the family does not sample");
    std::vector<Measurement> measurements;
    for (const auto& score : readable->scores(evaluation.model_samples().states))
      if (auto measurement = make_measurement(score))
        measurements.push_back(std::move(*measurement));
    if (measurements.empty()) throw Unavailable("none of the model's samples has a score");
    return measurements;
  }

 private:
  /// The measurement of a score; none where no sample has it.
  static std::optional<Measurement> make_measurement(const Score& score) {
    const auto g = score.values.masked_select(score.values.isnan().logical_not());
    const auto N = g.numel(), without = score.values.numel() - N;
    if (N == 0) return {};
    const auto mean = measure::compute_mean(g);
    Measurement measurement{.estimator = score.name,
                            .value = mean.value,
                            .unit = score.unit.empty() ? "score" : score.unit,
                            .stderr_ = mean.error,
                            .samples = N};
    measurement.more = {{"spread", json_number(g.std(N > 1).item<double>())},
                        {"min", json_number(g.min().item<double>())},
                        {"max", json_number(g.max().item<double>())}};
    if (score.target) {
      measurement.more["target"] = *score.target;
      measurement.more["bias"] = json_number(mean.value - *score.target);
      measurement.more["rms"] = json_number(measure::root_mean_square(g - *score.target).value);
    }
    if (without > 0) measurement.more["without_one"] = without;
    return measurement;
  }
};

}  // namespace
MARGINALIA_PART(score, ScoreMetric);
