/// \file
/// What an answer costs, and how far the chains that trained the model can be trusted.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/inference/masking.h>
#include <marginalia/inference/routed.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class MarginalSeconds final : public Metric {
 public:
  static constexpr const char* kName = "marginal_seconds";
  static constexpr const char* kSummary =
      "seconds for one log p(x_S) by each estimator, and for one pass of conditionals";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "time of a marginal", "one log p(x_S)", "seconds", Better::kLower, PlotKind::kTime},
      {"conditionals", "time of a marginal", "all p(x_i = k | x_S), in one pass", "seconds",
       Better::kLower}};

  struct Params {
    std::int64_t batch = 16, repeats = 5, percent = 50;
    double patience = 2;
    std::vector<std::string> estimators{"one_pass", "routed", "chain"};
    void visit(ParamVisitor& p) {
      p("batch", batch, {.doc = "queries asked at once", .min = 1});
      p("repeats", repeats, {.doc = "of which the median is taken, after one more", .min = 1});
      p("patience", patience,
        {.doc = "seconds of the first time of asking above which it is the only one", .min = 0.0});
      p("percent", percent,
        {.doc = "of the variables known; 100: whole states", .min = 1, .max = 100});
      p("estimators", estimators,
        {.doc = "those to time where the family offers them; \"oracle\" is the energy's own"});
    }
  };
  explicit MarginalSeconds(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    auto& stream = evaluation.stream("marginal_seconds");
    const auto partial = random_queries(evaluation.space(), stream);
    std::vector<Measurement> measurements;
    for (const auto& name : params_.estimators) {
      if (family.offers(QueryKind::kLogMarginal, name)) {
        double passes = 0;
        auto measurement =
            timed(name, [&] { passes = log_marginals(family, partial, name, stream).passes; });
        measurement.route = find_route(family, QueryKind::kLogMarginal, name);
        measurement.more["passes"] = passes;
        if (passes > 0) measurement.more["seconds_a_pass"] = measurement.value / passes;
        measurements.push_back(std::move(measurement));
      } else if (name == Routed::kName && Routed::obstacle(family, evaluation.energy()).empty()) {
        const Routed routed(family, *evaluation.energy());
        measurements.push_back(timed(name, [&] { routed.log_marginal(partial, {}, stream); }));
      } else if (const auto oracle = evaluation.oracle(); oracle && name == "oracle") {
        const auto known = oracle->nearest_sets(partial != kUnknown, stream);
        const auto summed = uniform_states(evaluation.space(), known.size(0), stream)
                                .masked_fill(known.logical_not(), kUnknown);
        measurements.push_back(timed(name, [&] { oracle->log_marginal(summed); }));
        measurements.back().route = Route::kExact;
      }
    }
    if (measurements.empty())
      throw Unavailable("none of the estimators asked for is among the family's: " +
                        list_estimators(offered(family, QueryKind::kLogMarginal)));
    if (family.by_route(QueryKind::kConditionals, Route::kOnePass)) {
      const Query query{QueryKind::kConditionals, partial};
      measurements.push_back(timed("conditionals", [&] { family.answer(query, stream); }));
    }
    for (auto& measurement : measurements)
      if (measurements.front().route == Route::kOnePass && measurements.front().value > 0)
        measurement.more["times_one_pass"] = measurement.value / measurements.front().value;
    return measurements;
  }

 private:
  /// Uniformly random values at a random subset of the variables: int64 [batch, D].
  Tensor random_queries(const StateSpace& space, Stream& stream) const {
    const auto D = space.dimension();
    auto x = torch::empty({params_.batch, D}, torch::kLong);
    for (std::int64_t i = 0; i < D; ++i)
      x.select(1, i).copy_(stream.integers(space.cardinalities[std::size_t(i)], {params_.batch}));
    const auto known = (params_.percent * D + 99) / 100;
    return x.masked_fill_(stream.permutations(params_.batch, D) >= known, kUnknown);
  }

  static double measure_seconds(const std::function<void()>& ask) {
    const auto start = std::chrono::steady_clock::now();
    ask();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Measurement timed(const std::string& name, const std::function<void()>& ask) const {
    std::vector<double> seconds{measure_seconds(ask)};
    if (seconds.front() < params_.patience) {
      seconds.clear();  // that one allocated and tuned
      for (std::int64_t n = 0; n < params_.repeats; ++n)
        seconds.push_back(measure_seconds(ask));
    }
    for (auto& taken : seconds)
      taken /= double(params_.batch);
    std::ranges::sort(seconds);
    const auto last = seconds.size() - 1;
    return {.estimator = name,
            .value = (seconds[last / 2] + seconds[last - last / 2]) / 2,
            .unit = "seconds",
            .samples = std::int64_t(seconds.size()),
            .more = {{"min", seconds.front()},
                     {"max", seconds.back()},
                     {"batch", params_.batch},
                     {"threads", at::get_num_threads()}}};
  }

  Params params_;
};

class SplitRHat final : public Metric {
 public:
  static constexpr const char* kName = "split_r_hat";
  static constexpr const char* kSummary = "agreement of the training chains; 1 when mixed";
  static constexpr const char* kSource = "Gelman et al. (2013), Bayesian Data Analysis, sect. 11.4";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"chain", "split R-hat", "agreement of chains; 1 when mixed", "ratio", Better::kLower}};

  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit SplitRHat(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto value = evaluation.chain_health();
    if (std::isnan(value)) throw Unavailable("training logged no split R-hat of a chain");
    return {{.estimator = "chain", .value = value, .unit = "ratio"}};
  }
};

}  // namespace
MARGINALIA_PART(cost, MarginalSeconds, SplitRHat);
