/// \file
/// What certificates of a target's marginals are worth: how wide they are, and what they cost.
///
/// Random subsets of states of the truth, or of the model where there are none, are certified one
/// by one (certify.h). No oracle is asked: whether intervals hold is what `coverage` counts.
#include <algorithm>
#include <cmath>
#include <map>

#include <torch/types.h>

#include <marginalia/inference/certify.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

/// Certificates of one size, or of all.
struct Tally {
  std::vector<double> widths, seconds, passes;
  double two_sided = 0;
  std::map<std::string, std::int64_t> routes, upper_by, stopped, reasons;

  void add(const Certificate& certificate) {
    widths.push_back(certificate.width());
    seconds.push_back(certificate.seconds);
    passes.push_back(certificate.passes);
    two_sided += std::isfinite(certificate.width());
    for (auto [counts, word] : {std::pair{&routes, certificate.route},
                                {&upper_by, certificate.upper_by},
                                {&stopped, certificate.stopped},
                                {&reasons, certificate.reason}})
      if (!word.empty()) ++(*counts)[word];
  }
  Json to_json() const {
    return {{"count", widths.size()},
            {"median_width", json_number(median(widths))},
            {"largest_width", json_number(std::ranges::max(widths))},
            {"two_sided", two_sided / double(widths.size())},
            {"median_passes", median(passes)},
            {"routes", routes},
            {"upper_by", upper_by},
            {"stopped", stopped},
            {"reasons", reasons}};
  }
};

class Certificates final : public Metric {
 public:
  static constexpr const char* kName = "certificates";
  static constexpr const char* kSummary =
      "width and seconds of certified log p(x_S), by subset size, and why a side is missing";
  static constexpr const char* kFormula = "median of upper - lower";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"width", "certificates", "median width of an interval that holds log p(x_S)", "nats"},
      {"two_sided", "certificates", "share of them that have both ends", "fraction"},
      {"seconds", "certificates", "median time of one", "seconds"}};
  static constexpr const char* kExample =
      R"({"sizes": [50], "queries": 4, "seconds": 0.1, "base_seconds": 0.1})";

  static Json upgrade(const Json& old, int) { return measure::with_exact_width(old); }

  struct Params {
    SubsetParams subsets{.sizes = {2, 10, 30, 50}, .queries = 5};
    IntervalParams interval;
    double seconds = 20, base_seconds = 20;
    void visit(ParamVisitor& p) {
      subsets.visit(p);
      interval.visit(p);
      p("seconds", seconds, {.doc = "of a question at which sampling stops", .min = 0.001});
      p("base_seconds", base_seconds, {.doc = "of log Z, once", .min = 0.001});
    }
  };
  explicit Certificates(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    if (!evaluation.energy()) throw Unavailable("needs an energy: its log f is what is certified");
    need_one_pass_conditionals(evaluation.family());
    auto& stream = evaluation.stream("certificates");
    const auto queries = random_subsets(evaluation, params_.subsets, stream);
    Certifier certifier(evaluation.family(), evaluation.energy(), settings());
    const auto log_z = certifier.log_z(stream);
    Tally all;
    std::map<std::int64_t, Tally> by_size;
    for (std::int64_t b = 0; b < queries.partial.size(0); ++b) {
      const auto certificate = certifier.certify(queries.partial[b], {}, stream);
      all.add(certificate);
      by_size[queries.size[b].item<std::int64_t>()].add(certificate);
    }
    auto cells = Json::array(), times = Json::array();
    for (const auto& [size, tally] : by_size) {
      cells.push_back(tally.to_json());
      cells.back()["size"] = size;
      times.push_back({{"size", size}, {"median_seconds", median(tally.seconds)}});
    }
    const auto samples = std::int64_t(all.widths.size());
    return {{.estimator = "width",
             .value = median(all.widths),
             .samples = samples,
             .more = {{"confidence", params_.interval.confidence},
                      {"states", queries.source},
                      {"log_z", log_z.to_json()},
                      {"cells", std::move(cells)}}},
            {.estimator = "two_sided",
             .value = all.two_sided / double(samples),
             .unit = "fraction",
             .samples = samples},
            {.estimator = "seconds",
             .value = median(all.seconds),
             .unit = "seconds",
             .samples = samples,
             .more = {{"cells", std::move(times)}}}};
  }

 private:
  CertifySettings settings() const {
    auto settings = params_.interval.settings();
    settings.seconds = params_.seconds;
    settings.base_seconds = params_.base_seconds;
    return settings;
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(certificates, Certificates);
