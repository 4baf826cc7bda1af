/// \file
/// Log-marginals against the truth, where there is one.
///
///   e = log q(x_S) - log p(x_S),  S random subsets of true states x
/// The reference log p is the oracle's, else the log of the model's own mean probability over
/// random orders, whose bias and error (jackknife over orders) stand beside; its variance is taken
/// out of the rms. A single order that is compared with it is none of its own.
/// Absolute errors come first: a correlation does not see an offset, and over subsets of all sizes
/// it is near 1 because log p falls with |S|; "spearman_within_size" takes that away.
#include <algorithm>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/inference/routed.h>
#include <marginalia/plugin.h>

#include "correlation.h"
#include "shared/measure/measure.h"
#include "shared/measure/ruler.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

Numbers numbers(const Tensor& values) {
  const auto x = values.contiguous();
  return {x.data_ptr<double>(), x.data_ptr<double>() + x.numel()};
}

/// The mean over sizes of Spearman's correlation at one size, where that varies.
double within_size(const Tensor& size, const Tensor& truth, const Tensor& answered) {
  const auto sizes = std::get<0>(at::_unique2(size));
  double sum = 0, count = 0;
  for (std::int64_t n = 0; n < sizes.numel(); ++n) {
    const auto here = size == sizes[n];
    const auto rho =
        spearman(numbers(truth.masked_select(here)), numbers(answered.masked_select(here)));
    if (rho != rho) continue;
    sum += rho;
    ++count;
  }
  return sum / count;
}

/// [[|S|, reference, answered], ...], evenly spread over the queries.
Json pairs(const Tensor& size, const Numbers& x, const Numbers& y) {
  constexpr std::size_t kMaxPairs = 500;
  const auto count = std::min(kMaxPairs, x.size());
  auto result = Json::array();
  for (std::size_t n = 0; n < count; ++n) {
    const auto at = n * x.size() / count;
    result.push_back(
        {size[std::int64_t(at)].item<std::int64_t>(), json_number(x[at]), json_number(y[at])});
  }
  return result;
}

/// What answers are held against.
struct Reference {
  Tensor value, variance;  // float64 [B]; no variance where it is exact
  Json about;              // the keys of a measurement that tell of it

  static Reference exact(const Tensor& value) { return {value, {}, {{"reference", "exact"}}}; }
  static Reference over_orders(const Family& family, const Tensor& partial, std::int64_t orders,
                               Stream& stream) {
    const auto ruler = measure_over_orders(family, partial, orders, stream);
    return {ruler.value,
            ruler.error.square(),
            {{"reference", fmt::format("ensemble of {} orders", orders)},
             {"reference_bias", json_number(ruler.bias.mean().item<double>())},
             {"reference_error", json_number(root_mean_square(ruler.error).value)}}};
  }
};

/// Errors and correlations of what one estimator answered.
Measurement compare(const std::string& name, Route route, const Tensor& size,
                    const Reference& reference, const Tensor& answered) {
  const auto& truth = reference.value;
  const auto errors = difference(answered, truth);
  auto measurement = error_measurement(name, route, errors, size, 51, reference.variance);
  if (reference.variance.defined())
    measurement.more["rms_with_reference"] = json_number(root_mean_square(errors).value);
  measurement.more.update(reference.about);
  const auto x = numbers(truth), y = numbers(answered);
  measurement.more["spearman"] = json_number(spearman(x, y));
  measurement.more["pearson"] = json_number(pearson(x, y));
  measurement.more["kendall"] = json_number(kendall(x, y));
  measurement.more["spearman_within_size"] = json_number(within_size(size, truth, answered));
  measurement.more["pairs"] = pairs(size, x, y);
  return measurement;
}

class MarginalError final : public Metric {
 public:
  static constexpr const char* kName = "marginal_error";
  static constexpr const char* kSummary = "error of log-marginals, by the size of the subset";
  static constexpr const char* kFormula = "rms over S of log q(x_S) - log p(x_S)";
  static constexpr const char* kLabel = "marginal error";
  static constexpr const char* kMeaning = "rms over subsets S of answered - reference log p(x_S)";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", kLabel, kMeaning, "nats", Better::kLower, PlotKind::kPairs},
      {Routed::kName, kLabel, "one pass, after what evidence leaves narrow was summed out exactly",
       "nats", Better::kLower, PlotKind::kPairs}};

  struct Params {
    SubsetParams subsets;
    std::int64_t orders = 5;
    std::vector<std::string> estimators{"one_pass", "routed", "chain", "exact"};
    void visit(ParamVisitor& p) {
      subsets.visit(p);
      p("orders", orders,
        {.doc = "M, random orders of the reference where there is no oracle", .min = 2});
      p("estimators", estimators,
        {.doc = "those to use where the family offers them; routed is one_pass after what can be "
                "summed exactly"});
    }
  };
  explicit MarginalError(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    const bool exact = bool(evaluation.oracle());
    std::vector<std::string> estimators;
    for (const auto& name : params_.estimators)
      if (name == Routed::kName ? Routed::obstacle(family, evaluation.energy()).empty()
                                : family.offers(QueryKind::kLogMarginal, name) &&
                                      (exact || find_route(family, QueryKind::kLogMarginal, name) !=
                                                    Route::kEnsemble))
        estimators.push_back(name);
    if (estimators.empty())
      throw Unavailable(fmt::format("none of the estimators asked for is among the family's: {}",
                                    list_estimators(offered(family, QueryKind::kLogMarginal))));
    if (!exact && !family.by_route(QueryKind::kLogMarginal, Route::kEnsemble))
      throw Unavailable(fmt::format("needs a reference: no oracle ({}), and the family offers no "
                                    "ensemble of orders",
                                    evaluation.oracle().reason));
    const auto queries = oracle_subsets(evaluation, params_.subsets, stream(evaluation, "queries"));
    const auto truth = reference(evaluation, queries.partial);
    std::vector<Measurement> measurements;
    for (const auto& name : estimators) {
      const auto answers = answered(evaluation, queries.partial, name);
      const auto route = find_route(family, QueryKind::kLogMarginal, name);
      auto measurement = compare(name, route, queries.size, truth, answers.value);
      measurement.more["source"] = queries.source;
      measurement.more["passes"] = answers.passes;
      measurements.push_back(std::move(measurement));
    }
    return measurements;
  }

 private:
  static Stream& stream(Evaluation& evaluation, const std::string& name) {
    return evaluation.stream("marginal_error/" + name);
  }

  static Answers answered(Evaluation& evaluation, const Tensor& partial, const std::string& name) {
    auto& own = stream(evaluation, name);
    if (name != Routed::kName) return log_marginals(evaluation.family(), partial, name, own);
    const auto answer =
        Routed(evaluation.family(), *evaluation.energy()).log_marginal(partial, {}, own);
    return {answer.value, answer.passes, false};
  }

  Reference reference(Evaluation& evaluation, const Tensor& partial) const {
    if (const auto oracle = evaluation.oracle())
      return Reference::exact(oracle->log_marginal(partial));
    return Reference::over_orders(evaluation.family(), partial, params_.orders,
                                  stream(evaluation, "reference"));
  }

  Params params_;
};

/// One-pass log p of true states that the model has redrawn in part, against the chain's: the
/// paper's test (table 1), on every state.
class RegenerationError final : public Metric {
 public:
  static constexpr const char* kName = "regeneration_error";
  static constexpr const char* kSummary =
      "error of one-pass log p(x) on states redrawn in part, by how much was redrawn";
  static constexpr const char* kFormula = "rms of log q(x) - log-mean-exp over orders of the chain";
  static constexpr const char* kSource =
      "Liu, Ramadge, Adams (2024), arXiv:2310.12920, sect. 6.2; without its thinning";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"*", "regeneration error", "rms of answered - reference log p(x), x redrawn in part", "nats",
       Better::kLower, PlotKind::kBySize}};

  struct Params {
    std::vector<std::int64_t> percent{13, 51, 89};
    std::int64_t queries = 32, orders = 5;
    void visit(ParamVisitor& p) {
      p("percent", percent,
        {.doc = "of the variables redrawn; 13, 51, 89 are the paper's 100, 400, 700 of 784",
         .min = 0,
         .max = 100});
      p("queries", queries, {.doc = "true states, each redrawn at every percentage", .min = 2});
      p("orders", orders, {.doc = "M, random orders of the reference", .min = 2});
    }
  };
  explicit RegenerationError(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    const auto ensemble = family.by_route(QueryKind::kLogMarginal, Route::kEnsemble);
    if (!ensemble || !family.by_route(QueryKind::kLogMarginal, Route::kOnePass))
      throw Unavailable(fmt::format("needs log-marginals in one pass and by an ensemble of orders; "
                                    "the family offers: {}",
                                    list_estimators(offered(family, QueryKind::kLogMarginal))));
    const auto [states_of_truth, source] = true_states(evaluation);
    const auto truth = states_of_truth.slice(0, 0, params_.queries);
    auto& stream = evaluation.stream("regeneration_error");
    const auto D = truth.size(1);
    std::vector<Tensor> states, sizes;
    for (const auto percent : params_.percent) {
      const auto hidden = percent * D / 100;
      const auto unknown = stream.permutations(truth.size(0), D) < hidden;
      const Query query{QueryKind::kSample, truth.masked_fill(unknown, kUnknown)};
      states.push_back(family.answer(query, stream).states);
      sizes.push_back(torch::full({truth.size(0)}, hidden, torch::kLong));
    }
    const auto x = torch::cat(states), size = torch::cat(sizes);
    const auto reference = Reference::over_orders(family, x, params_.orders, stream);
    std::vector<Measurement> measurements;
    for (const auto route : {Route::kOnePass, Route::kAlongOrder}) {
      const auto way = family.by_route(QueryKind::kLogMarginal, route);
      if (!way) continue;
      const auto answered = log_marginals(family, x, way->estimator, stream).value;
      auto measurement = compare(way->estimator, route, size, reference, answered);
      measurement.more["source"] = source + ", redrawn in part";
      measurements.push_back(std::move(measurement));
    }
    return measurements;
  }

 private:
  Params params_;
};

}  // namespace
MARGINALIA_PART(marginals, MarginalError, RegenerationError);
