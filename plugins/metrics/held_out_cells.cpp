/// \file
/// How well cells are filled that were held out: of held-out rows some of the known cells are
/// hidden at random, and the model says each from the rest.
///
///   log loss = mean of -log p(x_i | x_S),  Brier = mean of sum_k (p(x_i = k | x_S) - [x_i = k])^2
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/inference/any_order.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class HeldOutCells final : public Metric {
 public:
  static constexpr const char* kName = "held_out_cells";
  static constexpr const char* kSummary =
      "log loss, Brier score and accuracy of cells that are hidden at random, given the rest of "
      "their row";
  static constexpr const char* kFormula =
      "mean over rows of the mean over hidden i of -log p(x_i | x_S)";
  static constexpr const char* kSource =
      "Brier (1950), Monthly Weather Review 78; Gneiting and Raftery (2007), "
      "doi:10.1198/016214506000001437";

  static constexpr MeasurementInfo kMeasurements[] = {
      {"hidden_*", "log loss of hidden cells", "mean of -log p(x_i | x_S), a share of cells hidden",
       "nats", Better::kLower}};

  struct Params {
    std::vector<double> shares{0.1, 0.3, 0.5};
    void visit(ParamVisitor& p) {
      p("shares", shares, {.doc = "of the known cells that are hidden", .min = 0.001, .max = 1.0});
    }
  };
  explicit HeldOutCells(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    if (!evaluation.dataset()) throw Unavailable("needs a dataset whose cells are hidden");
    need_one_pass_conditionals(evaluation.family());
    const auto& x = evaluation.data_rows();
    if (x.size(0) == 0)
      throw Unavailable("there are no rows in the split " +
                        std::string(to_string(evaluation.split())));
    std::vector<Measurement> measurements;
    for (const double share : params_.shares)
      measurements.push_back(measurement(evaluation, x, share));
    return measurements;
  }

 private:
  /// Of the known cells of each row this share, one at least: bool [N, D].
  static Tensor hide(const Tensor& x, double share, Stream& stream) {
    const auto known = x != kUnknown;
    const auto key = stream.uniform(x.sizes()).masked_fill(known.logical_not(), 2);
    const auto count = (known.sum(1) * share).round().clamp_min(1).unsqueeze(1);
    return (to_ranks(key.argsort(std::int64_t{1})) < count).logical_and(known);
  }

  static Measurement measurement(Evaluation& evaluation, const Tensor& x, double share) {
    const auto name = fmt::format("hidden_{:g}", 100 * share);
    auto& stream = evaluation.stream("held_out_cells/" + name);
    const auto hidden = hide(x, share, stream);
    const auto way = offered(evaluation.family(), QueryKind::kConditionals).front();
    const auto& weights = evaluation.data_weights();
    Json examples = Json::array();
    std::vector<Tensor> losses;
    std::int64_t cells = 0;
    double right = 0, brier = 0, counted = 0;
    for (const auto& rows : torch::arange(x.size(0)).split(rows_a_pass(x.size(1)))) {
      const auto values = x.index_select(0, rows), here = hidden.index_select(0, rows);
      const auto log_p = evaluation.family()
                             .answer({.kind = QueryKind::kConditionals,
                                      .partial = values.masked_fill(here, kUnknown)},
                                     stream)
                             .value;
      const auto of_value = log_p.gather(2, values.clamp_min(0).unsqueeze(2)).squeeze(2);
      const auto loss = (-of_value).masked_fill(here.logical_not(), 0).sum(1);
      if (examples.empty()) examples = first_rows(*evaluation.dataset(), values, here, log_p);
      losses.push_back(loss / here.sum(1).clamp_min(1));
      const auto p = log_p.exp();
      const auto squares = p.square().sum(2) - 2 * of_value.exp() + 1;
      auto counts = here.to(torch::kDouble);  // of each cell
      if (weights.defined()) counts = counts * weights.index_select(0, rows).unsqueeze(1);
      brier += (squares.masked_fill(here.logical_not(), 0) * counts).sum().item<double>();
      right += ((log_p.argmax(2) == values) * counts).sum().item<double>();
      counted += counts.sum().item<double>();
      cells += here.sum().item<std::int64_t>();
    }
    const auto mean = compute_mean(torch::cat(losses), weights);
    return {.estimator = name,
            .value = mean.value,
            .unit = "nats",
            .status = way.status,
            .stderr_ = mean.error,
            .samples = x.size(0),
            .more = {{"cells", cells},
                     {"accuracy", right / counted},
                     {"brier", brier / counted},
                     {"split", to_string(evaluation.split())},
                     {"examples", examples}},
            .route = way.route};
  }

  /// The first rows as they were given, as the model fills them, and as they were, and how probable
  /// it finds what it says of each hidden cell.
  static Json first_rows(const Dataset& dataset, const Tensor& values, const Tensor& hidden,
                         const Tensor& log_p) {
    constexpr std::int64_t kShown = 6;
    const auto said = log_p.argmax(2);
    Json rows = Json::array();
    for (std::int64_t b = 0; b < std::min(kShown, values.size(0)); ++b) {
      Json probability = Json::array();
      for (std::int64_t i = 0; i < values.size(1); ++i)
        probability.push_back(
            hidden[b][i].item<bool>() ? Json(std::exp(log_p[b][i].max().item<double>())) : Json());
      rows.push_back({{"given", dataset.to_text(values[b].masked_fill(hidden[b], kUnknown))},
                      {"filled", dataset.to_text(torch::where(hidden[b], said[b], values[b]))},
                      {"was", dataset.to_text(values[b])},
                      {"probability", probability}});
    }
    return rows;
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(held_out_cells, HeldOutCells);
