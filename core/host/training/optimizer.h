#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <marginalia/family.h>

#include "host/params/training_params.h"
#include "parameter_shares.h"

namespace marginalia {

/// Moves parameters against their gradients: Adam (Kingma and Ba 2015), AdamW (Loshchilov and
/// Hutter 2019) or SGD with momentum. One pass over memory a parameter on the CPU.
///
/// With `zero` of its parameters each of several ranks has the moments of its share alone, moves
/// that, and has the rest from the others. What is computed of an element is the same, so that
/// parameters are those of ranks without.
class Optimizer {
 public:
  /// ranks: null where there is one process.
  Optimizer(const OptimizerParams& params, std::vector<ParameterGroup> groups,
            Communicator* ranks = nullptr);

  /// Clips the gradients of `group` ("": all) to `clip_norm` (0: no limit).  -> their norm before.
  double clip(const std::string& group, double clip_norm);
  /// One update at `scale` times the learning rate; gradients are dropped afterwards.
  void step(const std::string& group, double scale);
  /// How often each parameter has been moved, in the order of the groups.
  std::vector<std::int64_t> updates() const;
  /// Moments and step counts, for a checkpoint: "optimizer.*". It has moments whole, of which this
  /// rank keeps its share.
  void visit(StateVisitor& visitor);
  /// Puts the moments together on rank 0, until it visits them. To be called by all ranks.
  void gather_moments();
  /// Of the moments that this rank keeps.
  std::int64_t bytes() const;

 private:
  struct Slot {
    std::string name, group;
    Tensor parameter, mean, square;  // first and second moment, undefined until needed
    std::vector<Tensor*> moments();  // those that are there
    std::int64_t steps = 0;
    double factor = 1;
  };
  Tensor own(const Tensor& whole) const;
  void update(Slot& slot, double rate);
  void sgd(Slot& slot, const Tensor& values, Tensor gradient, double rate) const;
  void adam(Slot& slot, const Tensor& values, const Tensor& gradient, double rate) const;

  OptimizerParams params_;
  std::vector<Slot> slots_;
  Communicator* ranks_;
  std::optional<ParameterShares> shares_;  // where ranks have a share each
};

/// The schedule's factor at `step` of a run that is `progress` (0 to 1) through its budget.
double learning_rate_factor(const ScheduleParams& schedule, std::int64_t step, double progress);

}  // namespace marginalia
