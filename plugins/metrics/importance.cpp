/// \file
/// The model against its energy f, p(x) = f(x) / Z, by weights of its own samples or of true ones.
///
///   log w = log f(x) - log q(x | order),  x ~ q(. | order), a random order for each x
///   log Z       = log E_q[w]
///   ELBO        = E_q[log w] <= log Z,   KL(q || p) <= log Z - ELBO
///   EUBO        = E_p[log w] >= log Z,   KL(p || q) <= EUBO - log Z
///   ESS         = E_q[w]^2 / E_q[w^2], a fraction of the samples
/// The two KL are bounded for q the mixture over orders: E_order of KL(q(. | order) || p) is not
/// smaller, by convexity. Where the model's chain is exact, order does not matter and they are
/// estimates without a bias.
#include <cmath>

#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/certify.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

/// log w of the model's own samples: float64 [N].
Tensor model_weights(Evaluation& evaluation) {
  if (!evaluation.energy()) throw Unavailable("needs an energy");
  if (offered(evaluation.family(), QueryKind::kSample).empty())
    throw Unavailable("needs samples of the model, and the family does not sample");
  const auto& samples = evaluation.model_samples();
  if (!samples.log_prob.defined() || samples.log_prob.isnan().any().item<bool>())
    throw Unavailable("needs log q(x) of the model's samples, which the family does not give");
  return samples.log_density - samples.log_prob;
}

/// Whether log q(x | order) of a given state is along one order, or exact.
bool is_along_orders(const Capability& c) {
  return c.route == Route::kAlongOrder || c.route == Route::kExact;
}

/// How the family says log q(x) of a given state: along one order, else exactly, else by its first.
std::optional<Capability> find_scorer(const Family& family) {
  for (const auto route : {Route::kAlongOrder, Route::kExact})
    if (const auto way = family.by_route(QueryKind::kLogMarginal, route)) return way;
  const auto others = offered(family, QueryKind::kLogMarginal);
  if (others.empty()) return std::nullopt;
  return others.front();
}

/// Whether log q(x | order) is log q(x) for every order.
bool order_is_immaterial(const Family& family) {
  for (const auto& c : offered(family, QueryKind::kLogMarginal))
    if (is_along_orders(c) && c.status == Status::kExact) return true;
  return false;
}

/// log f(x) - log q(x | order) of exact samples x: float64 [N].
struct TrueWeights {
  Tensor log_weight;
  Capability scorer;
  std::string source;
  bool order_is_immaterial;
};
TrueWeights true_weights(Evaluation& evaluation, const std::string& name) {
  if (!evaluation.energy()) throw Unavailable("needs an energy");
  const auto oracle = evaluation.oracle();
  if (!oracle) throw Unavailable("needs exact samples: " + oracle.reason);
  const auto& family = evaluation.family();
  const auto scorer = find_scorer(family);
  const bool along_orders = scorer && is_along_orders(*scorer);
  const auto [x, source] = true_states(evaluation);
  const auto log_q = scorer ? log_marginals(family, x, scorer->estimator, evaluation.stream(name))
                            : Answers{{}, 0, false};
  // Another estimator will do where nothing has to be summed out, as of full states of an arm.
  if (!along_orders && !log_q.exact)
    throw Unavailable("needs log q(x) along one order, or exactly; the family offers: " +
                      list_estimators(offered(family, QueryKind::kLogMarginal)));
  return {evaluation.energy()->log_density(x) - log_q.value, *scorer, source,
          !along_orders || order_is_immaterial(family)};
}

/// log Z from the oracle, or what else is known of it.
std::optional<KnownLogZ> find_log_z(const Evaluation& evaluation) {
  if (const auto oracle = evaluation.oracle())
    return KnownLogZ{oracle->log_z(), 0, oracle->method()};
  return evaluation.energy() ? evaluation.energy()->known_log_z() : std::nullopt;
}

constexpr MeasurementInfo log_z_by(const char* estimator, const char* meaning, ColumnKind column) {
  return {.estimator = estimator,
          .label = "log Z",
          .meaning = meaning,
          .unit = "nats",
          .column = column};
}

class LogZ final : public Metric {
 public:
  static constexpr const char* kName = "log_z";
  static constexpr const char* kSummary = "log of the normaliser Z = sum of f(x)";
  static constexpr const char* kFormula = "log Z = log E_q[f(x) / q(x | order)]";
  static constexpr const char* kExample = R"({"samples": 16})";
  static constexpr const char* kExact = "exact";
  static constexpr const char* kExtrapolated = "extrapolated";
  /// What the model's samples vouch for before what it only says; what is exact, or an interval
  /// that holds for any model, is known of the energy and not of the model.
  static constexpr MeasurementInfo kMeasurements[] = {
      log_z_by("importance", "log of the mean weight of the model's samples", ColumnKind::kShared),
      log_z_by("one_pass", "as the model says it, asked once", ColumnKind::kShared),
      log_z_by("learned", "a parameter of the model", ColumnKind::kShared),
      log_z_by("*", "log of the normaliser, sum of f(x) over all x", ColumnKind::kShared),
      log_z_by("certified", "an interval that holds with its confidence, whenever it is stopped",
               ColumnKind::kAside),
      log_z_by(kExact, "by the energy's oracle", ColumnKind::kAside),
      log_z_by(kExtrapolated, "from what is known of other sizes", ColumnKind::kAside)};

  struct Params {
    std::int64_t samples = 256;
    double confidence = 0.95, seconds = 10;
    void visit(ParamVisitor& p) {
      p("samples", samples,
        {.doc = "chains, and posterior samples, of an interval that holds (certify.h); 0: none",
         .min = 0});
      p("confidence", confidence, {.doc = "of that interval", .min = 0.5, .max = 0.999999});
      p("seconds", seconds, {.doc = "at which its sampling stops; 0: no limit", .min = 0.0});
    }
  };
  explicit LogZ(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    if (!evaluation.energy()) throw Unavailable("needs an energy");
    std::vector<Measurement> measurements;
    std::string reason;
    for (const auto& c : offered(evaluation.family(), QueryKind::kLogZ))
      if (c.estimator != kExact) measurements.push_back(answered(evaluation, c));
    try {
      measurements.push_back(sampled(model_weights(evaluation)));
    } catch (const Unavailable& e) {
      reason = e.what();
    }
    if (params_.samples > 0 &&
        evaluation.family().by_route(QueryKind::kConditionals, Route::kOnePass))
      measurements.push_back(certified(evaluation));
    if (const auto known = find_log_z(evaluation)) {
      measurements.push_back({.estimator = known->error > 0 ? kExtrapolated : kExact,
                              .value = known->value,
                              .status = known->error > 0 ? Status::kEstimate : Status::kExact,
                              .more = {{"method", known->method}, {"error", known->error}},
                              .route = known->error > 0 ? Route::kOther : Route::kExact});
      if (const auto oracle = evaluation.oracle(); oracle && oracle->digits())
        measurements.back().more["digits"] = std::floor(*oracle->digits());
    }
    if (measurements.empty()) throw Unavailable(reason);
    return measurements;
  }

 private:
  static Measurement answered(Evaluation& evaluation, const Capability& capability) {
    const auto answer = evaluation.family().answer(
        {.kind = QueryKind::kLogZ, .estimator = capability.estimator}, evaluation.stream("log_z"));
    return {.estimator = capability.estimator,
            .value = answer.value.item<double>(),
            .status = capability.status,
            .route = capability.route};
  }
  /// An interval that holds; where there is one side alone, that.
  Measurement certified(Evaluation& evaluation) const {
    CertifySettings settings;
    settings.confidence = params_.confidence;
    settings.width = 0;
    settings.samples = params_.samples;
    settings.seconds = params_.seconds;
    Certifier certifier(evaluation.family(), evaluation.energy(), settings);
    const auto certificate =
        certifier.certify_sum(evaluation.space().empty()[0], evaluation.stream("log_z/certified"));
    const bool one_sided = std::isinf(certificate.upper);
    Measurement measurement{.estimator = "certified",
                            .value = one_sided ? certificate.lower : certificate.log_marginal,
                            .status = certificate.route == "exact" ? Status::kExact
                                      : one_sided                  ? Status::kLower
                                                                   : Status::kEstimate,
                            .samples = certificate.samples,
                            .more = {{"lower", json_number(certificate.lower)},
                                     {"upper", json_number(certificate.upper)},
                                     {"confidence", certificate.confidence},
                                     {"certified_by", certificate.route},
                                     {"passes", certificate.passes}}};
    if (!certificate.upper_by.empty()) measurement.more["upper_by"] = certificate.upper_by;
    if (!certificate.reason.empty()) measurement.more["reason"] = certificate.reason;
    return measurement;
  }
  static Measurement sampled(const Tensor& log_weight) {
    const auto log_z = log_mean_exp(log_weight);
    return {.estimator = "importance",
            .value = log_z.value,
            .stderr_ = log_z.error,
            .samples = log_weight.numel(),
            .more = {{"in_expectation", "lower"}},
            .route = Route::kImportance};
  }

  Params params_;
};

class Ess final : public Metric {
 public:
  static constexpr const char* kName = "ess";
  static constexpr const char* kSummary = "effective fraction of the model's samples, as weighted";
  static constexpr const char* kFormula = "E_q[w]^2 / E_q[w^2],  w = f(x) / q(x | order)";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"importance", "effective sample size", "of importance weights, model against target",
       "fraction", Better::kHigher}};
  using Params = NoParams;
  explicit Ess(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto log_weight = model_weights(evaluation);
    const auto log_z = log_mean_exp(log_weight).value;
    if (log_z == -INFINITY) throw Unavailable("f(x) = 0 at every sample of the model");
    const auto w = (log_weight - log_z).exp();  // of mean 1
    const auto ess = 1 / w.square().mean().item<double>();
    // Delta method: d ESS / ESS = 2 d mean(w) - ESS d mean(w^2).
    const auto spread = compute_mean(ess * (2 * w - ess * w.square()));
    return {{.estimator = "importance",
             .value = ess,
             .unit = "fraction",
             .stderr_ = spread.error,
             .samples = w.numel(),
             .more = {{"largest_weight", w.max().item<double>() / w.sum().item<double>()}},
             .route = Route::kImportance}};
  }
};

class Elbo final : public Metric {
 public:
  static constexpr const char* kName = "elbo";
  static constexpr const char* kSummary = "lower bound on log Z from the model's samples";
  static constexpr const char* kFormula = "E_q[log f(x) - log q(x | order)] <= log Z";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "ELBO", "lower bound on log Z, or on log p(x) of data", "nats", Better::kHigher},
      {"published", "ELBO", "log q along another random order than that of drawing: no bound",
       "nats", Better::kHigher}};
  struct Params {
    bool published = false;
    void visit(ParamVisitor& p) {
      p("published", published,
        {.doc = "also with log q along another random order than that of drawing, as -(KL - log Z) "
                "of Liu, Ramadge and Adams (2024): no bound"});
    }
  };
  explicit Elbo(const Params& params) : published_(params.published) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto log_weight = model_weights(evaluation);
    const auto mean = compute_mean(log_weight);
    std::vector<Measurement> measurements{{.estimator = "importance",
                                           .value = mean.value,
                                           .status = Status::kLower,
                                           .stderr_ = mean.error,
                                           .samples = log_weight.numel(),
                                           .more = {{"bound_on", "log_z"}},
                                           .route = Route::kImportance}};
    if (published_) measurements.push_back(along_another_order(evaluation));
    return measurements;
  }

 private:
  /// E_q[log f(x) - log q(x | order')], order' independent of the one that x was drawn in. Larger
  /// than the bound by how much a sample's own order favours it.
  static Measurement along_another_order(Evaluation& evaluation) {
    const auto& family = evaluation.family();
    const auto chain = family.by_route(QueryKind::kLogMarginal, Route::kAlongOrder);
    if (!chain)
      throw Unavailable("\"published\" needs log q(x) along one order; the family offers: " +
                        list_estimators(offered(family, QueryKind::kLogMarginal)));
    const auto& samples = evaluation.model_samples();
    const auto log_q =
        log_marginals(family, samples.states, chain->estimator, evaluation.stream("elbo")).value;
    const auto mean = compute_mean(samples.log_density - log_q);
    return {.estimator = "published",
            .value = mean.value,
            .stderr_ = mean.error,
            .samples = log_q.numel(),
            .more = {{"orders", "another, random"}},
            .route = Route::kAlongOrder};
  }

  bool published_;
};

class KlReverse final : public Metric {
 public:
  static constexpr const char* kName = "kl_reverse";
  static constexpr const char* kSummary = "KL(model || target) from the model's samples";
  static constexpr const char* kFormula = "E_q[log q(x | order) - log f(x)] + log Z >= KL(q || p)";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"importance", "KL(model, target)", "mean of log model(x) - log target(x), x from the model",
       "nats", Better::kLower}};
  using Params = NoParams;
  explicit KlReverse(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto log_weight = model_weights(evaluation);
    const auto known = find_log_z(evaluation);
    const auto log_z = known ? known->value : log_mean_exp(log_weight).value;
    if (log_z == -INFINITY) throw Unavailable("f(x) = 0 at every sample of the model");
    auto terms = log_z - log_weight;
    const auto value = compute_mean(terms).value;
    // An estimated log Z varies with the samples, to first order by w / mean(w) - 1.
    if (!known) terms = terms + (log_weight - log_z).exp();
    const bool bound = known && known->error == 0 && !order_is_immaterial(evaluation.family());
    return {{.estimator = "importance",
             .value = value,
             .status = bound ? Status::kUpper : Status::kEstimate,
             .stderr_ = std::isfinite(value) ? compute_mean(terms).error : std::nullopt,
             .samples = terms.numel(),
             .more = {{"log_z_from", !known             ? "importance"
                                     : known->error > 0 ? "extrapolated"
                                                        : "exact"},
                      {"log_z", log_z},
                      {"orders", evaluation.model_samples().order}},
             .route = Route::kImportance}};
  }
};

class Eubo final : public Metric {
 public:
  static constexpr const char* kName = "eubo";
  static constexpr const char* kSummary = "upper bound on log Z from exact samples";
  static constexpr const char* kFormula = "E_p[log f(x) - log q(x | order)] >= log Z";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "EUBO", "upper bound on log Z, or on log p(x) of data", "nats", Better::kLower}};
  using Params = NoParams;
  explicit Eubo(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto weights = true_weights(evaluation, "eubo");
    const auto mean = compute_mean(weights.log_weight);
    return {{.estimator = weights.scorer.estimator,
             .value = mean.value,
             .status = Status::kUpper,
             .stderr_ = mean.error,
             .samples = weights.log_weight.numel(),
             .more = {{"bound_on", "log_z"}, {"source", weights.source}},
             .route = weights.scorer.route}};
  }
};

class KlForward final : public Metric {
 public:
  static constexpr const char* kName = "kl_forward";
  static constexpr const char* kSummary = "KL(target || model) from exact samples";
  static constexpr const char* kFormula = "E_p[log f(x) - log q(x | order)] - log Z >= KL(p || q)";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "KL(target, model)", "mean of log target(x) - log model(x), x from the target", "nats",
       Better::kLower}};
  using Params = NoParams;
  explicit KlForward(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto weights = true_weights(evaluation, "kl_forward");
    const auto log_z = evaluation.oracle()->log_z();
    const auto mean = compute_mean(weights.log_weight - log_z);
    return {{.estimator = weights.scorer.estimator,
             .value = mean.value,
             .status = weights.order_is_immaterial ? Status::kEstimate : Status::kUpper,
             .stderr_ = mean.error,
             .samples = weights.log_weight.numel(),
             .more = {{"log_z_from", "exact"}, {"log_z", log_z}, {"source", weights.source}},
             .route = weights.scorer.route}};
  }
};

}  // namespace
MARGINALIA_PART(importance, LogZ, Ess, Elbo, KlReverse, Eubo, KlForward);
