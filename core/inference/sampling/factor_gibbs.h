#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include <marginalia/factors.h>
#include <marginalia/state_space.h>

namespace marginalia {

/// Gibbs sweeps over factors of any kind, row by row on the CPU: an update reads the tables that
/// its variable stands in, and nothing else. Of a variable none of whose values is allowed all are
/// as likely.
class FactorGibbs {
 public:
  FactorGibbs(const FactorModel& model, const StateSpace& space);

  struct Sweeps {
    std::int64_t count;
    std::uint64_t seed;
    double inverse_temperature = 1;  ///< b > 0: of f^b
  };
  /// In place: each row of x, int64 [B, D], contiguous, redraws its free variables `sweeps.count`
  /// times, in order. free: bool [B, D], contiguous, or undefined for all; mean: float32 [B, D, K],
  /// zero, to which p(x_i | all others) is added at every update, or undefined.
  void run(at::Tensor& x, const at::Tensor& free, const Sweeps& sweeps, at::Tensor& mean) const;

 private:
  /// A variable of a scope, and how far apart its values lie in the table.
  struct Slot {
    std::int32_t variable, stride;
  };
  /// One factor as a variable sees it: the table, its own stride, and the others of the scope.
  struct View {
    const float* table;
    std::int32_t stride, first, last;  // others_[first .. last)
  };

  std::vector<std::int64_t> cardinalities_;
  std::int64_t levels_;
  std::vector<std::vector<float>> tables_;
  std::vector<Slot> others_;
  std::vector<View> views_;
  std::vector<std::size_t> first_view_;  // of variable i: first_view_[i] .. first_view_[i + 1]
};

}  // namespace marginalia
