#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <marginalia/family.h>

#include "host/params/training_params.h"

namespace marginalia {

/// Moves parameters against their gradients: Adam (Kingma and Ba 2015), AdamW (Loshchilov and
/// Hutter 2019) or SGD with momentum. One pass over memory a parameter on the CPU.
class Optimizer {
 public:
  Optimizer(const OptimizerParams& params, std::vector<ParameterGroup> groups);

  /// Clips the gradients of `group` ("": all) to `clip_norm` (0: no limit).  -> their norm before.
  double clip(const std::string& group, double clip_norm);
  /// One update at `scale` times the learning rate; gradients are dropped afterwards.
  void step(const std::string& group, double scale);
  /// How often each parameter has been moved, in the order of the groups.
  std::vector<std::int64_t> updates() const;
  /// Moments and step counts, for a checkpoint: "optimizer.*".
  void visit(StateVisitor& visitor);

 private:
  struct Slot {
    std::string name, group;
    Tensor parameter, mean, square;  // first and second moment, undefined until needed
    std::int64_t steps = 0;
    double factor = 1;
  };
  void update(Slot& slot, double rate);
  void adam(Slot& slot, double rate);

  OptimizerParams params_;
  std::vector<Slot> slots_;
};

/// The schedule's factor at `step` of a run that is `progress` (0 to 1) through its budget.
double learning_rate_factor(const ScheduleParams& schedule, std::int64_t step, double progress);

}  // namespace marginalia
