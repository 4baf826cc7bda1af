/// \file
/// How often certificates hold, against an oracle, and what they cost.
///
/// The share of random subsets S of true states x whose interval for log p(x_S) holds the truth. It
/// is at least the confidence, in every cell of subset size and of noise, if the certificates are
/// right. `noise` adds a fixed Gaussian to every logit of the conditionals that propose: a network
/// that is worse than the one at hand, which must widen the intervals and never break them.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/inference/certify.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

/// A family's conditionals with `noise` nats of fixed Gaussian on every logit.
class Noised final : public Family {
 public:
  Noised(const Family& base, double noise) : base_(base) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{1});
    bend_ =
        noise * torch::randn({space().dimension(), space().levels()}, generator, torch::kDouble);
  }
  const StateSpace& space() const override { return base_.space(); }
  std::vector<Capability> capabilities() const override { return base_.capabilities(); }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override {
    auto answer = base_.answer(query, stream);
    if (query.kind == QueryKind::kConditionals)
      answer.value = log_softmax_levels(answer.value + bend_);
    return answer;
  }
  const Family& base_;
  Tensor bend_;  // [D, K]
};

class Coverage final : public Metric {
 public:
  static constexpr const char* kName = "coverage";
  static constexpr const char* kSummary =
      "how often certificates of log p(x_S) hold, by subset size and sabotage of the network";
  static constexpr const char* kFormula =
      "P(lower <= log p(x_S) <= upper), at least the confidence";
  static constexpr const char* kTime = "time of a certificate";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "coverage of certificates", "share of intervals that hold the exact log p(x_S)",
       "fraction"},
      {kTime, "coverage of certificates", "mean time of one interval", "seconds"}};
  static constexpr const char* kExample =
      R"({"sizes": [50], "queries": 4, "samples": 16, "base_samples": 32})";

  static Json upgrade(const Json& old, int) { return measure::with_exact_width(old); }

  struct Params {
    SubsetParams subsets;
    IntervalParams interval;
    std::int64_t samples = 1024, base_samples = 1024;
    std::vector<double> noise{0};
    Params() { subsets.queries = 20; }
    void visit(ParamVisitor& p) {
      subsets.visit(p);
      interval.visit(p);
      p("samples", samples, {.doc = "of each side, at which it stops", .min = 1});
      p("base_samples", base_samples, {.doc = "of each side of log Z", .min = 1});
      p("noise", noise,
        {.doc = "nats of a Gaussian on every logit, a network spoilt so far for each; 0: as it is",
         .min = 0.0});
    }
  };
  explicit Coverage(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto oracle = evaluation.oracle();
    if (!evaluation.energy() || !oracle) throw Unavailable("needs the truth: " + oracle.reason);
    need_one_pass_conditionals(evaluation.family());
    const auto queries = oracle_subsets(evaluation, params_.subsets, evaluation.stream("coverage"));
    const auto truth = oracle->log_marginal(queries.partial);
    std::vector<Measurement> measurements;
    double seconds = 0;
    for (const auto noise : params_.noise)
      measurements.push_back(cell(evaluation, queries, truth, noise, seconds));
    const auto count = double(queries.partial.size(0)) * double(params_.noise.size());
    measurements.push_back({.estimator = kTime,
                            .value = seconds / count,
                            .unit = "seconds",
                            .samples = std::int64_t(count)});
    return measurements;
  }

 private:
  CertifySettings settings() const {
    auto settings = params_.interval.settings();
    settings.samples = params_.samples;
    settings.base_samples = params_.base_samples;
    settings.base_seconds = 0;
    return settings;
  }

  Measurement cell(Evaluation& evaluation, const Subsets& queries, const Tensor& truth,
                   double noise, double& seconds) const {
    const Noised spoilt(evaluation.family(), noise);
    Certifier certifier(noise > 0 ? spoilt : evaluation.family(), evaluation.energy(), settings());
    auto& stream = evaluation.stream(fmt::format("coverage/{}", noise));
    certifier.log_z(stream);
    struct Of {
      double held = 0, count = 0;
      std::vector<double> widths, passes;
    };
    std::map<std::int64_t, Of> by_size;
    Of all;
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t b = 0; b < queries.partial.size(0); ++b) {
      const auto certificate = certifier.certify(queries.partial[b], {}, stream);
      const bool holds = certificate.holds(truth[b].item<double>());
      for (auto* of : {&all, &by_size[queries.size[b].item<std::int64_t>()]}) {
        of->held += holds;
        of->count += 1;
        of->widths.push_back(certificate.width());
        of->passes.push_back(certificate.passes);
      }
    }
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    auto rows = Json::array();
    for (const auto& [size, of] : by_size)
      rows.push_back({{"size", size},
                      {"coverage", of.held / of.count},
                      {"count", of.count},
                      {"median_width", json_number(median(of.widths))},
                      {"largest_width", json_number(std::ranges::max(of.widths))},
                      {"median_passes", median(of.passes)}});
    return {.estimator = noise > 0 ? fmt::format("noise {}", noise) : "as trained",
            .value = all.held / all.count,
            .unit = "fraction",
            .samples = std::int64_t(all.count),
            .more = {{"confidence", params_.interval.confidence},
                     {"median_width", json_number(median(all.widths))},
                     {"log_z_width", json_number(certifier.log_z(stream).width())},
                     {"cells", std::move(rows)}}};
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(coverage, Coverage);
