/// \file
/// Intervals around one-pass log-marginals that cost nothing when a question is asked.
///
/// For n calibration queries, drawn by a stated law, certificates (certify.h) give [l, h] for
/// log p(x_S); with the one-pass answer F the score c = max(|F - l|, |F - h|) is at least its
/// error. For a new query of the same law, in the same bin of |S|,
///
///   P(|F(s) - log p(s)| <= q) >= 1 - a - d,   q = the ceil((n + 1)(1 - a))-th smallest of the c,
///
/// d the chance that a label's certificate does not hold. Sources: Vovk, Gammerman and Shafer
/// (2005), Algorithmic Learning in a Random World, sections 2.2 and 4.5 (Mondrian bins); labels
/// that are intervals only raise c.
#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/inference/certify.h>
#include <marginalia/inference/conformal.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class Conformal final : public Metric {
 public:
  static constexpr const char* kName = "conformal";
  static constexpr const char* kSummary =
      "radius around one-pass log p(x_S) that holds for queries of the calibration's law";
  static constexpr const char* kFormula = "P(|log q(x_S) - log p(x_S)| <= radius) >= confidence";
  static constexpr const char* kSource =
      "Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "conformal radius", "around one-pass log p(x_S), for queries of its law", "nats"}};
  static constexpr const char* kExample = R"({"queries": 40, "bins": 1, "samples": 16})";

  static Json upgrade(const Json& old, int) { return measure::with_exact_width(old); }

  struct Params {
    std::int64_t queries = 500, bins = 5, samples = 256;
    double confidence = 0.9, width = 0.05, exact_width = 12;
    void visit(ParamVisitor& p) {
      p("queries", queries,
        {.doc = "n, of all bins together, but no more than there are states", .min = 1});
      p("bins", bins, {.doc = "of |S|, of equal width, each with a radius of its own", .min = 1});
      p("confidence", confidence, {.doc = "1 - a", .min = 0.5, .max = 0.999});
      p("width", width, {.doc = "nats of a label's interval at which sampling stops", .min = 0.0});
      p("samples", samples, {.doc = "of each side of a label, at which it stops", .min = 1});
      p("exact_width", exact_width,
        {.doc = "log2 of the entries of a message up to which unknown variables are summed out",
         .min = 0.0,
         .max = 24.0});
    }
  };
  explicit Conformal(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    if (!evaluation.energy()) throw Unavailable("needs an energy: labels are certificates of it");
    const auto way = family.by_route(QueryKind::kLogMarginal, Route::kOnePass);
    if (!way || !family.by_route(QueryKind::kConditionals, Route::kOnePass))
      throw Unavailable("needs log-marginals and conditionals in one pass");
    const auto [x, source] = true_states(evaluation);
    auto& stream = evaluation.stream("conformal");
    const auto D = x.size(1), n = std::min(params_.queries, x.size(0));
    const auto row = stream.permutations(1, x.size(0))[0].slice(0, 0, n);
    const auto size = stream.integers(D + 1, {n});
    const auto unknown = stream.permutations(n, D) >= size.unsqueeze(1);
    const auto partial = x.index({row}).masked_fill(unknown, kUnknown);
    const auto answers = log_marginals(family, partial, way->estimator, stream).value;
    const auto radii = compute_radii(size, label(evaluation, partial, answers), D, source);
    double largest = 0;
    for (const auto& bin : radii.bins)
      largest = std::max(largest, bin.radius);
    return {{.estimator = way->estimator,
             .value = largest,
             .samples = n,
             .more = radii.to_json(),
             .route = way->route}};
  }

 private:
  static constexpr double kLabelDelta = 0.002;

  std::vector<double> label(Evaluation& evaluation, const Tensor& partial,
                            const Tensor& answers) const {
    CertifySettings settings;
    settings.confidence = 1 - kLabelDelta;
    settings.width = params_.width;
    settings.samples = params_.samples;
    settings.exact_width = params_.exact_width;
    settings.base_seconds = 0;
    Certifier certifier(evaluation.family(), evaluation.energy(), settings);
    auto& stream = evaluation.stream("conformal/labels");
    std::vector<double> scores;
    for (std::int64_t b = 0; b < partial.size(0); ++b) {
      certifier.forget();  // so that scores do not depend on their order
      const auto label = certifier.certify(partial[b], {}, stream);
      const auto answer = answers[b].item<double>();
      scores.push_back(std::max(std::abs(answer - label.lower), std::abs(answer - label.upper)));
    }
    return scores;
  }

  ConformalRadii compute_radii(const Tensor& size, const std::vector<double>& scores,
                               std::int64_t D, const std::string& source) const {
    std::vector<std::vector<double>> by_bin(std::size_t(params_.bins));
    for (std::size_t b = 0; b < scores.size(); ++b)
      by_bin[std::size_t(size[std::int64_t(b)].item<std::int64_t>() * params_.bins / (D + 1))]
          .push_back(scores[b]);
    ConformalRadii radii{
        .confidence = params_.confidence - kLabelDelta,
        .law = "|S| uniform on 0.." + std::to_string(D) + ", S uniform, x from " + source};
    const auto edge = [&](std::size_t k) {
      return (std::int64_t(k) * (D + 1) + params_.bins - 1) / params_.bins;
    };
    for (std::size_t bin = 0; bin < by_bin.size(); ++bin) {
      auto& all = by_bin[bin];
      std::ranges::sort(all);
      const auto rank = std::size_t(std::ceil(double(all.size() + 1) * params_.confidence));
      radii.bins.push_back({.from = edge(bin),
                            .to = edge(bin + 1) - 1,
                            .radius = rank <= all.size() ? all[rank - 1] : INFINITY,  // too few
                            .count = std::int64_t(all.size())});
    }
    return radii;
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(conformal, Conformal);
