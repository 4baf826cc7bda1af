/// Components with names that nothing else knows (tests/program/unheard_of.cpp): an energy, a
/// family that calls its estimators as nobody does, and metrics with facts and without.
#include <cmath>

#include <torch/types.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/inference/conformal.h>
#include <marginalia/inference/factored_energy.h>
#include <marginalia/metric.h>
#include <marginalia/plugin.h>

namespace {

using namespace marginalia;

struct NoParameters {
  void visit(ParamVisitor&) {}
};

/// log f = sum_i x_i x_{i+1} of five bits.
class Bog final : public FactoredEnergy {
 public:
  static constexpr const char* kName = "bog";
  static constexpr const char* kSummary = "five bits in a row that like to be 1 together";
  using Params = NoParameters;
  explicit Bog(const Params&) : FactoredEnergy(model(), StateSpace::uniform(5, 2), 1) {}

 private:
  static FactorModel model() {
    FactorModel model{{2, 2, 2, 2, 2}, {}};
    for (std::int64_t i = 0; i < 4; ++i)
      model.factors.push_back({{i, i + 1}, {0, 0, 0, 1}});
    return model;
  }
};

/// Independent bits, 1 with the probability of a parameter; nothing is learned.
class Brook final : public Family {
 public:
  static constexpr const char* kName = "brook";
  static constexpr const char* kSummary = "independent bits";
  struct Params {
    double wet = 0.5;
    void visit(ParamVisitor& p) { p("wet", wet, {.doc = "p(x_i = 1)", .min = 0.01, .max = 0.99}); }
  };
  Brook(const Params& params, const FamilyContext& context)
      : space_(context.space),
        log_p_(torch::tensor({1 - params.wet, params.wet}, torch::kDouble).log()) {}

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    return {{QueryKind::kLogMarginal, "stroll", Status::kEstimate, "|S|", Route::kAlongOrder},
            {QueryKind::kLogMarginal, "glimpse", Status::kEstimate, "1", Route::kOnePass},
            {QueryKind::kConditionals, "glance", Status::kEstimate, "1", Route::kOnePass},
            {QueryKind::kSample, "drift", Status::kExact, "|U|", Route::kAlongOrder},
            {QueryKind::kMaxProbable, "summit", Status::kExact, "1"}};
  }
  void step(Step& step) override { step.record("train/water", 1); }
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Tensor log_marginal(const Tensor& x) const {
    const auto each = log_p_.index({x.clamp_min(0)});
    return torch::where(x == kUnknown, torch::zeros_like(each), each).sum(1);
  }
  Answer compute_answer(const Query& query, Stream& stream) const override {
    const auto& x = query.partial;
    if (query.estimator == "glimpse") {
      auto value = log_marginal(x);
      if (query.given.defined()) value = value - log_marginal(query.given);
      return {.value = value, .passes = 1};
    }
    if (query.kind == QueryKind::kMaxProbable) {
      const auto states = torch::where(x == kUnknown, log_p_.argmax(), x);
      return {.value = log_marginal(states) - log_marginal(x), .states = states};
    }
    const auto conditionals = [this](const Tensor& s) {
      return log_p_.expand({s.size(0), s.size(1), 2});
    };
    return answer_from_conditionals(conditionals, query, stream);
  }
  StateSpace space_;
  Tensor log_p_;  // float64 [2]
};

/// The share of ones, and of zeros, of the model's samples.
class Glow final : public Metric {
 public:
  static constexpr const char* kName = "glow";
  static constexpr const char* kSummary = "how bright samples are";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"ember", "afterglow", "share of ones in the model's samples", "lumens", Better::kLower},
      {"soot_*", "afterglow", "share of zeros in them", "lumens", Better::kHigher}};
  using Params = NoParameters;
  explicit Glow(const Params&) {}
  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto ones = evaluation.model_samples().states.to(torch::kDouble).mean().item<double>();
    return {{.estimator = "ember", .value = ones, .unit = "lumens"},
            {.estimator = "soot_fine", .value = 1 - ones, .unit = "lumens"}};
  }
};

/// The same ways to one number, the second preferred.
class Haze final : public Metric {
 public:
  static constexpr const char* kName = "haze";
  static constexpr const char* kSummary = "one number by two ways";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"glimpse", "haziness", "mean of -log p", "nats", Better::kLower, PlotKind::kNone,
       ColumnKind::kShared},
      {"*", "haziness", "mean of -log p", "nats", Better::kLower, PlotKind::kNone,
       ColumnKind::kShared}};
  using Params = NoParameters;
  explicit Haze(const Params&) {}
  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    std::vector<Measurement> all;
    for (const auto& c : evaluation.family().capabilities()) {
      if (c.kind != QueryKind::kLogMarginal) continue;
      const Query query{.partial = evaluation.model_samples().states, .estimator = c.estimator};
      const auto answer = evaluation.family().answer(query, evaluation.stream("haze"));
      all.push_back({.estimator = c.estimator,
                     .value = -answer.value.mean().item<double>(),
                     .route = c.route});
    }
    return all;
  }
};

/// A metric that says nothing of itself.
class Dusk final : public Metric {
 public:
  static constexpr const char* kName = "dusk_of_day";
  static constexpr const char* kSummary = "2, and radii of half a nat around glimpses";
  using Params = NoParameters;
  explicit Dusk(const Params&) {}
  std::vector<Measurement> measure(Evaluation&) const override {
    const ConformalRadii radii{.confidence = 0.8, .law = "any", .bins = {{0, 5, 0.5, 1}}};
    return {{.estimator = "glimpse", .value = 2, .more = radii.to_json()}};
  }
};

}  // namespace
MARGINALIA_PLUGIN(Bog, Brook, Glow, Haze, Dusk);
