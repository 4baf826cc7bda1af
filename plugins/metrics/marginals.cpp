/// \file
/// Log-marginals against the truth, where there is one.
///
///   e = log q(x_S) - log p(x_S),  S random subsets of true states x
/// The reference log p is the oracle's, else the model's own log-mean-exp over five random orders.
/// Absolute errors come first: a correlation does not see an offset, and over subsets of all sizes
/// it is near 1 because log p falls with |S|; "spearman_within_size" takes that away.
#include <algorithm>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/plugin.h>

#include "correlation.h"
#include "measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

Numbers numbers(const Tensor& values) {
  const auto x = values.contiguous();
  return {x.data_ptr<double>(), x.data_ptr<double>() + x.numel()};
}

class MarginalError final : public Metric {
 public:
  static constexpr const char* kName = "marginal_error";
  static constexpr const char* kSummary = "error of log-marginals, by the size of the subset";
  static constexpr const char* kFormula = "rms over S of log q(x_S) - log p(x_S)";

  struct Params {
    SubsetParams subsets;
    std::vector<std::string> estimators{"one_pass", "chain", "exact"};
    void visit(ParamVisitor& p) {
      subsets.visit(p);
      p("estimators", estimators,
        {.doc = "those to use where the family offers them; ensemble is as costly as five chains"});
    }
  };
  explicit MarginalError(const Params& params) : params_(params) {}

  std::vector<Figure> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    const bool exact = bool(evaluation.oracle());
    std::vector<std::string> estimators;
    for (const auto& name : params_.estimators)
      if (offers(family, QueryKind::kLogMarginal, name) && (exact || name != "ensemble"))
        estimators.push_back(name);
    if (estimators.empty())
      throw Unavailable(fmt::format("none of the estimators asked for is among the family's: {}",
                                    names_of(offered(family, QueryKind::kLogMarginal))));
    if (!exact && !offers(family, QueryKind::kLogMarginal, "ensemble"))
      throw Unavailable(fmt::format("needs a reference: no oracle ({}), and the family offers no "
                                    "ensemble of orders",
                                    evaluation.oracle().reason));
    const auto queries = random_subsets(evaluation, params_.subsets, stream(evaluation, "queries"));
    const auto truth = reference(evaluation, queries.partial);
    std::vector<Figure> figures;
    for (const auto& name : estimators) {
      const auto answers = log_marginals(family, queries.partial, name, stream(evaluation, name));
      auto figure = compare(name, queries, truth, answers.value);
      figure.more["reference"] = exact ? "exact" : "ensemble of 5 orders";
      figure.more["source"] = queries.source;
      figure.more["passes"] = answers.passes;
      figures.push_back(std::move(figure));
    }
    return figures;
  }

 private:
  static Stream& stream(Evaluation& evaluation, const std::string& name) {
    return evaluation.stream("marginal_error/" + name);
  }

  static Tensor reference(Evaluation& evaluation, const Tensor& partial) {
    if (const auto oracle = evaluation.oracle()) return oracle->log_marginal(partial);
    return log_marginals(evaluation.family(), partial, "ensemble", stream(evaluation, "reference"),
                         5)
        .value;
  }

  static Figure compare(const std::string& name, const Subsets& queries, const Tensor& truth,
                        const Tensor& answered) {
    auto figure = error_figure(name, difference(answered, truth), queries.size, 51);
    const auto x = numbers(truth), y = numbers(answered);
    figure.more["spearman"] = number(spearman(x, y));
    figure.more["pearson"] = number(pearson(x, y));
    figure.more["kendall"] = number(kendall(x, y));
    figure.more["spearman_within_size"] = number(within_size(queries.size, truth, answered));
    figure.more["pairs"] = pairs(queries.size, x, y);
    return figure;
  }

  /// The mean over sizes of Spearman's correlation at one size, where that varies.
  static double within_size(const Tensor& size, const Tensor& truth, const Tensor& answered) {
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
  static Json pairs(const Tensor& size, const Numbers& x, const Numbers& y) {
    constexpr std::size_t kMost = 500;
    const auto count = std::min(kMost, x.size());
    auto result = Json::array();
    for (std::size_t n = 0; n < count; ++n) {
      const auto at = n * x.size() / count;
      result.push_back({size[std::int64_t(at)].item<std::int64_t>(), number(x[at]), number(y[at])});
    }
    return result;
  }

  Params params_;
};

}  // namespace
MARGINALIA_PLUGIN(MarginalError);
