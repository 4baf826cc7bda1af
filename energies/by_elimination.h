#pragma once

#include <memory>
#include <mutex>
#include <string>

#include <marginalia/elimination.h>
#include <marginalia/energy.h>

namespace marginalia {

/// Exact answers by elimination for an energy that has factors, planned when first asked for.
class ByElimination {
 public:
  /// memory: GiB that they may take.
  explicit ByElimination(double memory) : bytes_(memory * (1 << 30)) {}

  /// Those of `model`, the same at every call; or the reason why there are none.
  Offer<Oracle> oracle(const FactorModel& model, const StateSpace& space) const;

 private:
  double bytes_;
  mutable std::once_flag planned_;
  mutable std::unique_ptr<Elimination> elimination_;
  mutable std::string obstacle_;
};

}  // namespace marginalia
