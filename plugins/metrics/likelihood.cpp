/// \file
/// How likely the model finds held-out states, and how far its two networks are apart.
///
///   nll = mean over x of -log p(x), nats;  bits_per_dim = nll / (D log 2)
/// By one random order or the log-mean-exp over M of them it is an upper bound, in expectation, on
/// that of the mixture over all orders (Jensen). Of rows with gaps it is of what is known, and D is
/// the mean number of that; where levels gather what was recorded, as bins do numbers, it is of
/// what was recorded.
/// Source: Liu, Ramadge, Adams (2024), arXiv:2310.12920, sect. 6.1.
#include <algorithm>
#include <cmath>

#include <torch/types.h>

#include <marginalia/dataset.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

constexpr MeasurementInfo likelihood_by(const char* estimator) {
  return {.estimator = estimator,
          .label = "negative log-likelihood",
          .meaning = "mean of -log p(x) over held-out states",
          .unit = "nats",
          .better = Better::kLower,
          .column = ColumnKind::kShared};
}

class Nll final : public Metric {
 public:
  static constexpr const char* kName = "nll";
  static constexpr const char* kSummary = "negative log-likelihood of held-out states";
  static constexpr const char* kFormula = "mean over x of -log p(x)";
  /// The tightest first: an exact one, then bounds by how close they are.
  static constexpr MeasurementInfo kMeasurements[] = {
      likelihood_by("exact"),    likelihood_by("ensemble"), likelihood_by("one_order"),
      likelihood_by("chain"),    likelihood_by("masked"),   likelihood_by("importance"),
      likelihood_by("one_pass"), likelihood_by("*")};

  struct Params {
    std::int64_t orders = 5;
    std::vector<std::string> estimators;
    void visit(ParamVisitor& p) {
      p("orders", orders, {.doc = "M, random orders of the ensemble", .min = 1});
      p("estimators", estimators,
        {.doc = "those of the family to use, as chain or one_pass; empty: all it offers but paths, "
                "which of whole states is an ensemble"});
    }
  };
  explicit Nll(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    if (!evaluation.dataset()) throw Unavailable("needs a dataset");
    const auto all = offered(evaluation.family(), QueryKind::kLogMarginal);
    const auto& x = evaluation.data_rows();
    if (x.size(0) == 0)
      throw Unavailable("there are no rows in the split " +
                        std::string(to_string(evaluation.split())));
    std::vector<Measurement> measurements;
    for (const auto& c : all)
      if (params_.estimators.empty() ? c.estimator != "paths"
                                     : std::ranges::count(params_.estimators, c.estimator) > 0)
        measurements.push_back(measurement(evaluation, x, c));
    if (measurements.empty())
      throw Unavailable("none of the estimators asked for is among the family's: " +
                        list_estimators(all));
    return measurements;
  }

 private:
  Measurement measurement(Evaluation& evaluation, const Tensor& x,
                          const Capability& capability) const {
    const auto& name = capability.estimator;
    const auto answers = log_marginals(evaluation.family(), x, name,
                                       evaluation.stream("nll/" + name), params_.orders);
    const auto& of_cells = evaluation.data_log_recorded();
    const auto recorded = of_cells.defined() ? of_cells.sum(1) : Tensor();
    const auto nll = compute_mean(recorded.defined() ? -(answers.value + recorded) : -answers.value,
                                  evaluation.data_weights());
    const auto cells =
        compute_mean((x != kUnknown).sum(1).to(torch::kDouble), evaluation.data_weights()).value;
    Measurement measurement{
        .estimator = name == "chain" ? "one_order" : name,
        .value = nll.value,
        .status = answers.exact ? Status::kExact : flip_status(capability),
        .stderr_ = nll.error,
        .samples = x.size(0),
        .more = {{"bits_per_dim", json_number(nll.value / (cells * std::log(2)))},
                 {"split", to_string(evaluation.split())},
                 {"passes", answers.passes}},
        .route = capability.route};
    if (recorded.defined())
      measurement.more["within_levels"] =
          json_number(-compute_mean(recorded, evaluation.data_weights()).value);
    if (capability.route == Route::kAlongOrder) measurement.more["orders"] = 1;
    if (capability.route == Route::kEnsemble) measurement.more["orders"] = params_.orders;
    return measurement;
  }

  /// A lower bound on log p is an upper one on -log p.
  static Status flip_status(const Capability& capability) {
    const bool by_order = capability.route != Route::kOnePass;  // in expectation, by Jensen
    switch (capability.status) {
      case Status::kExact:
        return Status::kExact;
      case Status::kUpper:
        return Status::kLower;
      case Status::kLower:
        return Status::kUpper;
      case Status::kEstimate:
        return by_order ? Status::kUpper : Status::kEstimate;
    }
    return Status::kEstimate;
  }

  Params params_;
};

class Gap final : public Metric {
 public:
  static constexpr const char* kName = "gap";
  static constexpr const char* kSummary = "one-pass log-marginals against those of the chain";
  static constexpr const char* kFormula = "rms of one_pass - chain, of log p(x_S)";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "one pass against chain", "rms difference of the two answers to log p(x_S)", "nats",
       Better::kLower, PlotKind::kBySize}};
  using Params = SubsetParams;
  explicit Gap(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    const auto one_pass = family.by_route(QueryKind::kLogMarginal, Route::kOnePass);
    const auto chain = family.by_route(QueryKind::kLogMarginal, Route::kAlongOrder);
    if (!one_pass || !chain)
      throw Unavailable("needs log-marginals in one pass and along one order; the family offers: " +
                        list_estimators(offered(family, QueryKind::kLogMarginal)));
    auto& stream = evaluation.stream("gap");
    const auto queries = random_subsets(evaluation, params_, stream);
    const auto at_once = log_marginals(family, queries.partial, one_pass->estimator, stream).value;
    const auto in_steps = log_marginals(family, queries.partial, chain->estimator, stream).value;
    auto measurement = error_measurement(one_pass->estimator, one_pass->route,
                                         difference(at_once, in_steps), queries.size, 51);
    measurement.more["reference"] = chain->estimator;
    measurement.more["source"] = queries.source;
    return {measurement};
  }

 private:
  Params params_;
};

}  // namespace
MARGINALIA_PART(likelihood, Nll, Gap);
