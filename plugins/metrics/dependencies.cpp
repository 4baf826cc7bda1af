/// \file
/// Which variables have to do with which, in the training rows, in the model's samples and in
/// held-out rows, by the mutual information of every pair.
///
///   I = sum_kl p_kl log p_kl / (p_k p_l) - (c_kl - c_k - c_l + 1) / (2 N)  (Miller and Madow),
///   c the number of values that occur;  r = sqrt(1 - exp(-2 I)), the |correlation| that two normal
///   variables of as much information have
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/inference/tree.h>
#include <marginalia/plugin.h>

#include "shared/measure/measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class Dependencies final : public Metric {
 public:
  static constexpr const char* kName = "dependencies";
  static constexpr const char* kSummary =
      "how strongly each two variables depend on one another, in samples and in training rows";
  static constexpr const char* kFormula =
      "mean over pairs of |r - r of the training rows|, r = sqrt(1 - exp(-2 I))";
  static constexpr const char* kSource =
      "Linfoot (1957), Information and Control 1, 85; Paninski (2003), "
      "doi:10.1162/089976603321780272";

  static constexpr MeasurementInfo kMeasurements[] = {
      {"sampled", "dependencies of pairs",
       "mean over pairs of |r in the model's samples - r in training rows|", "correlation",
       Better::kLower, PlotKind::kGraph},
      {"held_out", "dependencies of pairs",
       "mean over pairs of |r in held-out rows - r in training rows|", "correlation",
       Better::kNeither, PlotKind::kNone, ColumnKind::kAside}};

  struct Params {
    std::int64_t strongest = 60;
    void visit(ParamVisitor& p) {
      p("strongest", strongest, {.doc = "pairs that are listed and drawn", .min = 1, .max = 1000});
    }
  };
  explicit Dependencies(const Params& params) : params_(params) {}

  std::vector<Measurement> measure(Evaluation& evaluation) const override {
    const auto* dataset = evaluation.dataset();
    if (!dataset) throw Unavailable("needs a dataset to compare with");
    const auto& space = evaluation.space();
    if (space.dimension() < 2) throw Unavailable("needs two variables");
    if (space.dimension() * space.levels() > kMostValues)
      throw Unavailable(fmt::format("{} variables of {} values: pairs of at most {} together are "
                                    "counted",
                                    space.dimension(), space.levels(), kMostValues));
    const auto rows = std::min(dataset->size(Split::kTrain), kMostRows);
    const auto chosen = evaluation.stream("dependencies")
                            .permutations(1, dataset->size(Split::kTrain))[0]
                            .slice(0, 0, rows);
    const auto training = correlations(dataset->rows(Split::kTrain, chosen), space);
    const auto& drawn = evaluation.model_samples().states;
    const auto& held = evaluation.data_rows();
    const auto sampled = correlations(drawn, space);
    auto weights = evaluation.data_weights();
    if (weights.defined()) weights = weights / weights.mean();
    const auto held_out = held.size(0) > 0 ? correlations(held, space, weights) : Tensor();
    std::vector<Measurement> both{measurement("sampled", sampled, training, drawn.size(0))};
    both[0].more["variables"] = names(space);
    both[0].more["strongest"] = list_strongest(training, sampled, held_out);
    if (held_out.defined())
      both.push_back(measurement("held_out", held_out, training, held.size(0)));
    return both;
  }

 private:
  static constexpr std::int64_t kMostValues = 4096;  // whose pairs are counted: 128 MiB
  static constexpr std::int64_t kMostRows = 100'000;

  /// r of every two variables: float64 [D, D], symmetric. weights: of the rows; undefined: 1.
  static Tensor correlations(const Tensor& x, const StateSpace& space, const Tensor& weights = {}) {
    constexpr std::int64_t kRowsAtOnce = 8192;
    trees::Counts counts;
    for (const auto& some : torch::arange(x.size(0)).split(kRowsAtOnce))
      trees::add(counts, x.index_select(0, some), space.levels(), true,
                 weights.defined() ? weights.index_select(0, some) : weights);
    const auto& joint = counts.pairs;            // [D, K, D, K]
    const auto first = joint.sum(3);             // [D, K, D]
    const auto second = joint.sum(1);            // [D, D, K]
    const auto n = first.sum(1).clamp_min(1.0);  // [D, D]: rows that know both
    const auto information =
        (joint.xlogy(joint).sum({1, 3}) - first.xlogy(first).sum(1) - second.xlogy(second).sum(2)) /
            n +
        n.log();
    const auto occur = [](const Tensor& of) { return (of > 0).to(torch::kDouble); };
    const auto by_chance =
        (occur(joint).sum({1, 3}) - occur(first).sum(1) - occur(second).sum(2) + 1) / (2 * n);
    return (1 - (-2 * (information - by_chance).clamp_min(0)).exp()).sqrt();
  }

  /// bool [D, D]: i < j.
  static Tensor pairs_once(std::int64_t D) { return torch::ones({D, D}, torch::kBool).triu(1); }

  static Measurement measurement(const std::string& name, const Tensor& r, const Tensor& training,
                                 std::int64_t rows) {
    const auto off = (r - training).abs().masked_select(pairs_once(r.size(0)));
    return {.estimator = name,
            .value = off.mean().item<double>(),
            .unit = "correlation",
            .status = Status::kEstimate,
            .samples = rows,
            .more = {{"max", off.max().item<double>()}}};
  }

  static std::vector<std::string> names(const StateSpace& space) {
    if (!space.names.empty()) return space.names;
    std::vector<std::string> numbers;
    for (std::int64_t i = 0; i < space.dimension(); ++i)
      numbers.push_back(std::to_string(i));
    return numbers;
  }

  /// [[i, j, r in training rows, in samples, in held-out rows], ...], the strongest first.
  Json list_strongest(const Tensor& training, const Tensor& sampled, const Tensor& held_out) const {
    const auto D = training.size(0);
    const auto once = training.masked_fill(pairs_once(D).logical_not(), -1).flatten();
    const auto order = once.argsort(0, /*descending=*/true);
    Json list = Json::array();
    for (std::int64_t n = 0; n < std::min(params_.strongest, D * (D - 1) / 2); ++n) {
      const auto at = order[n].item<std::int64_t>(), i = at / D, j = at % D;
      const auto of = [&](const Tensor& r) {
        return r.defined() ? json_number(r[i][j].item<double>()) : Json();
      };
      list.push_back({i, j, of(training), of(sampled), of(held_out)});
    }
    return list;
  }

  Params params_;
};

}  // namespace
MARGINALIA_PART(dependencies, Dependencies);
