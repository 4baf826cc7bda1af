/// \file
/// What an answer costs, and how far the chains that trained the model can be trusted.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <marginalia/plugin.h>

#include "measure.h"

namespace {

using namespace marginalia;
using namespace marginalia::measure;

class MarginalSeconds final : public Metric {
 public:
  static constexpr const char* kName = "marginal_seconds";
  static constexpr const char* kSummary = "seconds for one log p(x_S), half of the variables known";

  struct Params {
    std::int64_t batch = 64, repeats = 5;
    std::vector<std::string> estimators{"one_pass", "chain", "exact"};
    void visit(ParamVisitor& p) {
      p("batch", batch, {.doc = "queries asked at once", .min = 1});
      p("repeats", repeats, {.doc = "of which the median is taken, after one more", .min = 1});
      p("estimators", estimators,
        {.doc = "those to time where the family offers them; \"oracle\" is the energy's own"});
    }
  };
  explicit MarginalSeconds(const Params& params) : params_(params) {}

  std::vector<Figure> measure(Evaluation& evaluation) const override {
    const auto& family = evaluation.family();
    auto& stream = evaluation.stream("marginal_seconds");
    const auto partial = half_known(evaluation.space(), stream);
    std::vector<Figure> figures;
    for (const auto& name : params_.estimators) {
      if (offers(family, QueryKind::kLogMarginal, name)) {
        double passes = 0;
        auto figure =
            timed(name, [&] { passes = log_marginals(family, partial, name, stream).passes; });
        figure.more["passes"] = passes;
        figures.push_back(std::move(figure));
      } else if (const auto oracle = evaluation.oracle(); oracle && name == "oracle") {
        figures.push_back(timed(name, [&] { oracle->log_marginal(partial); }));
      }
    }
    if (figures.empty())
      throw Unavailable("none of the estimators asked for is among the family's: " +
                        names_of(offered(family, QueryKind::kLogMarginal)));
    return figures;
  }

 private:
  /// Uniformly random values at a random half of the variables: int64 [batch, D].
  Tensor half_known(const StateSpace& space, Stream& stream) const {
    const auto D = space.dimension();
    auto x = torch::empty({params_.batch, D}, torch::kLong);
    for (std::int64_t i = 0; i < D; ++i)
      x.select(1, i).copy_(stream.integers(space.cardinalities[std::size_t(i)], {params_.batch}));
    return x.masked_fill_(stream.permutations(params_.batch, D) >= (D + 1) / 2, kUnknown);
  }

  Figure timed(const std::string& name, const std::function<void()>& ask) const {
    ask();  // what is allocated or tuned on first use
    std::vector<double> seconds;
    for (std::int64_t n = 0; n < params_.repeats; ++n) {
      const auto start = std::chrono::steady_clock::now();
      ask();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      seconds.push_back(taken.count() / double(params_.batch));
    }
    std::ranges::sort(seconds);
    const auto last = seconds.size() - 1;
    return {.estimator = name,
            .value = (seconds[last / 2] + seconds[last - last / 2]) / 2,
            .unit = "seconds",
            .samples = params_.repeats,
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

  struct Params {
    void visit(ParamVisitor&) {}
  };
  explicit SplitRHat(const Params&) {}

  std::vector<Figure> measure(Evaluation& evaluation) const override {
    const auto value = evaluation.chain_health();
    if (std::isnan(value)) throw Unavailable("training logged no split R-hat of a chain");
    return {{.estimator = "chain", .value = value, .unit = "ratio"}};
  }
};

}  // namespace
MARGINALIA_PLUGIN(MarginalSeconds, SplitRHat);
