#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/elimination.h>

#include "clusters.h"
#include "sampler.h"

namespace marginalia::planar {

/// Spins of a partial state: -1, +1, 0 where it is unknown.
using Spins = std::vector<int>;

/// What is left of a model once some variables are known, summed by elimination where it is narrow.
struct Rest {
  Conditioned left;
  std::unique_ptr<Elimination> sums;  ///< null: it is not narrow

  Rest(const FactorModel& model, const std::int64_t* x);
};

/// How a partial state is summed: by clusters of what is known, or by elimination of the rest.
struct Way {
  std::optional<Clusters> clusters;
  std::unique_ptr<Rest> rest;
  int count = 0;  ///< of clusters
};

/// What PlanarIsing answers, row by row. Rows x: [D], kUnknown for what is unknown.
class Answers {
 public:
  Answers(FactorModel model, const Drawing& drawing, OtherAnswers other);

  const Graph& graph() const { return graph_; }
  const Rounded& log_z() const;
  double digits() const;  ///< 0 to 16

  double log_sum(const std::int64_t* x) const;
  bool can_sum(const std::int64_t* x) const;
  /// p(x_i = 1 | known): [D]. None where what is known falls into too many clusters, and what is
  /// left is not narrow. x: not all unknown.
  std::optional<std::vector<double>> single_marginals(const std::int64_t* x) const;
  /// Completions of one row: int64 [count, D].
  Tensor sample(const std::int64_t* x, std::int64_t count, Stream& stream) const;

 private:
  Spins spins_of(const std::int64_t* x) const;
  double log_f(const Spins& s) const;
  Way find_way(const std::int64_t* x, const Spins& s) const;
  std::shared_ptr<const SpinSampler> sampler(const Spins& s) const;
  void join(Spins& s, const Choice& choose) const;
  void draw(const SpinSampler& sampler, const Spins& evidence, const Choice& choose,
            std::int64_t* x) const;
  Tensor row(const std::int64_t* x) const;
  const Oracle* other() const;  // null: there is none
  [[noreturn]] void refuse(int clusters) const;

  const FactorModel model_;
  const Graph graph_;
  const std::vector<int> component_;  // of each spin
  const OtherAnswers other_;
  mutable std::once_flag summed_, sampled_;
  mutable Rounded log_z_{};
  mutable std::shared_ptr<const SpinSampler> free_;  // without evidence
};

}  // namespace marginalia::planar
