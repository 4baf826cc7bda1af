/// \file
/// What share of the model's samples a training row is, and what share of held-out rows: a model
/// that learned its rows by heart copies more than chance does.
#include <cstdint>
#include <string>
#include <unordered_set>

#include <torch/types.h>

#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class Copies final : public Metric {
 public:
  static constexpr const char* kName = "copies";
  static constexpr const char* kSummary =
      "share of sampled states that are a training row, beside that of held-out rows";
  static constexpr const char* kFormula = "P(x is a training row), x ~ p or held out";

  static constexpr MeasurementInfo kMeasurements[] = {
      {"sampled", "copies of training rows", "share of the model's samples that are a training row",
       "share", Better::kNeither},
      {"held_out", "copies of training rows", "share of held-out rows that are a training row",
       "share", Better::kNeither, PlotKind::kNone, ColumnKind::kAside}};

  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit Copies(const Params&) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto* dataset = evaluation.dataset();
    if (!dataset) throw Unavailable("needs a dataset whose rows may be copied");
    const auto seen = training_rows(*dataset);
    if (seen.empty()) throw Unavailable("every training row has gaps");
    return {share("sampled", seen, evaluation.model_samples().states),
            share("held_out", seen, evaluation.data_rows())};
  }

 private:
  using Rows = std::unordered_set<std::string>;

  /// The bytes of row b of int16 [N, D].
  static std::string key(const Tensor& x, std::int64_t b) {
    const auto D = x.size(1);
    const auto* row = x.data_ptr<std::int16_t>() + b * D;
    return {reinterpret_cast<const char*>(row), std::size_t(D) * sizeof(*row)};
  }
  static Tensor as_keys(const Tensor& x) { return x.to(torch::kShort).contiguous(); }

  /// Rows without gaps.
  static Rows training_rows(const Dataset& dataset) {
    constexpr std::int64_t kRows = 8192;
    Rows seen;
    for (const auto& at : torch::arange(dataset.size(Split::kTrain)).split(kRows)) {
      const auto rows = dataset.rows(Split::kTrain, at);
      const auto whole = as_keys(rows.index_select(0, (rows >= 0).all(1).nonzero().squeeze(1)));
      for (std::int64_t b = 0; b < whole.size(0); ++b)
        seen.insert(key(whole, b));
    }
    return seen;
  }

  static Measurement share(const std::string& name, const Rows& seen, const Tensor& states) {
    const auto x = as_keys(states.index_select(0, (states >= 0).all(1).nonzero().squeeze(1)));
    auto is_copy = torch::zeros({x.size(0)}, torch::kDouble);
    for (std::int64_t b = 0; b < x.size(0); ++b)
      is_copy[b] = double(seen.contains(key(x, b)));
    const auto mean = compute_mean(is_copy);
    return {.estimator = name,
            .value = mean.value,
            .unit = "share",
            .status = Status::kEstimate,
            .stderr_ = mean.error,
            .samples = x.size(0)};
  }
};

}  // namespace
MARGINALIA_PART(copies, Copies);
