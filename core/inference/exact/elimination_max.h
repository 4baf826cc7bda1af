#pragma once

#include <cstdint>
#include <vector>

#include "elimination_loop.h"
#include "stored_values.h"

namespace marginalia::elimination {

/// message = max(message, m), m(S) = max_v sum_j t_j(S, v) of a step.  tables: of its sources;
/// values: [D], those that are known.
void max_into(double* message, const PlanStep& step, const std::vector<const double*>& tables,
              const std::vector<std::int64_t>& values);
/// m itself.
std::vector<double> max_message(const PlanStep& step, const std::vector<const double*>& tables,
                                const std::vector<std::int64_t>& values);

/// Max-sum elimination: messages of maxima in place of sums, so that what they end in is the
/// greatest log f, and one pass back a state that has it. Logs throughout, which add as they are;
/// messages rest as those of sums do.
class Maxima {
 public:
  /// values: [D], those that are known.
  Maxima(const FactorModel& model, const EliminationPlan& plan,
         const std::vector<std::int64_t>& values);

  double log_density() const { return log_density_; }  ///< of the most probable completion
  /// Completes `x` [D] by it; of equal values the lowest.
  void complete(std::int64_t* x) const;

 private:
  double log_at(const TableSource& source, std::int64_t entry) const;

  const FactorModel& model_;
  const EliminationPlan& plan_;
  const std::vector<std::int64_t>& values_;
  std::vector<StoredValues> messages_;
  double log_density_ = 0;
};

}  // namespace marginalia::elimination
