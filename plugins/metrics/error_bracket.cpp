/// \file
/// Two numbers between which the mean error of one-pass marginals lies, for a model that is its own
/// target: one of a dataset, whose truth nobody knows.
///
/// The model's joint along the forward order, p(x) = prod_t p(x_t | x_{<t}), is a law; how far is
/// the one-pass answer F from its marginals? For a partial state x_S, with u its unknown variables,
/// q(u | x_S) what a chain of the conditionals draws in a random order, and
///
///   A = F(x_S) - log p(x_S, u) + log q(u | x_S):     E_p[A] <= F(x_S) - log p(x_S) <= E_q[A]
///
/// (Jensen, once on each side; the gap is KL(q || p) + KL(p || q), of u given x_S). The left side
/// needs u ~ p(. | x_S). A query that is made by hiding variables of an x drawn from p has it: what
/// was hidden. One such sample a query is enough for the mean over queries.  Source: bidirectional
/// Monte Carlo, Grosse, Ghahramani and Adams (2015), arXiv:1511.02543.
#include <cmath>

#include <torch/types.h>

#include <marginalia/inference/certify.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class ErrorBracket final : public Metric {
 public:
  static constexpr const char* kName = "error_bracket";
  static constexpr const char* kSummary =
      "bounds of the mean error of one-pass log p(x_S) against the model's own joint";
  static constexpr const char* kFormula = "E_p[A] <= E[F(x_S) - log p(x_S)] <= E_q[A]";
  static constexpr const char* kSource =
      "Grosse, Ghahramani, Adams (2015), Sandwiching the marginal likelihood using bidirectional "
      "Monte Carlo, arXiv:1511.02543";
  static constexpr const char* kExample = R"({"sizes": [50], "queries": 4})";
  static constexpr MeasurementInfo kMeasurements[] = {
      {"lower", "error bracket", "mean error of one-pass log p(x_S): at least this", "nats",
       Better::kNeither, PlotKind::kBySize},
      {"upper", "error bracket", "mean error of one-pass log p(x_S): at most this", "nats"}};

  struct Params {
    SubsetParams subsets{.sizes = {10, 30, 50, 70, 90}, .queries = 50};
    void visit(ParamVisitor& p) { subsets.visit(p); }
  };
  explicit ErrorBracket(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    if (evaluation.energy())
      throw Unavailable(
          "the target is the energy, not the model's joint: ask coverage or certificates");
    if (!family.by_route(QueryKind::kLogMarginal, Route::kOnePass) ||
        !family.by_route(QueryKind::kConditionals, Route::kOnePass))
      throw Unavailable("needs log-marginals and conditionals in one pass");
    const Joint joint(family);
    auto& stream = evaluation.stream("error_bracket");
    std::vector<Tensor> lower, upper;
    auto rows = Json::array();
    for (const auto size : params_.subsets.resolved(family.space().dimension())) {
      const auto [low, high] = ends(joint, family, size, stream);
      rows.push_back(make_row(size, compute_mean(low), compute_mean(high)));
      lower.push_back(low);
      upper.push_back(high);
    }
    auto low = measurement("lower", Status::kLower, torch::cat(lower));
    low.more = {{"by_size", std::move(rows)}};
    return {std::move(low), measurement("upper", Status::kUpper, torch::cat(upper))};
  }

 private:
  /// p, the model along its forward order.
  struct Joint {
    std::unique_ptr<Proposal> chain;
    Tensor forward;  // int64 [D]
    explicit Joint(const Family& family)
        : chain(make_proposal(family)), forward(torch::arange(family.space().dimension())) {}
    Tensor empty(std::int64_t rows) const { return chain->space().empty().repeat({rows, 1}); }
    Tensor sample(std::int64_t rows, Stream& stream) const {
      return chain->draw(empty(rows), forward, stream).states;
    }
    Tensor log_prob(const Tensor& x) const {
      return chain->score(x, empty(x.size(0)), forward).log_prob;
    }
  };

  /// A of queries of one size, under p and under q: float64 [queries] each.
  std::pair<Tensor, Tensor> ends(const Joint& p, const Family& family, std::int64_t size,
                                 Stream& stream) const {
    const auto B = params_.subsets.queries;
    const auto x = p.sample(B, stream);
    const auto partial = x.masked_fill(stream.permutations(B, x.size(1)) >= size, kUnknown);
    const auto answer =
        log_marginals(family, partial, need_one_pass(family).estimator, stream).value;
    const auto order = stream.permutations(1, x.size(1))[0];
    const auto drawn = p.chain->draw(partial, order, stream);
    return {answer - p.log_prob(x) + p.chain->score(x, partial, order).log_prob,
            answer - p.log_prob(drawn.states) + drawn.log_prob};
  }

  static Json make_row(std::int64_t size, const Mean& low, const Mean& high) {
    return {{"size", size},
            {"lower", json_number(low.value)},
            {"lower_stderr", low.error ? Json(*low.error) : Json()},
            {"upper", json_number(high.value)},
            {"upper_stderr", high.error ? Json(*high.error) : Json()}};
  }
  static Measurement measurement(const char* end, Status status, const Tensor& values) {
    const auto mean = compute_mean(values);
    return {.estimator = end,
            .value = mean.value,
            .status = status,
            .stderr_ = mean.error,
            .samples = values.size(0)};
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(error_bracket, ErrorBracket);
