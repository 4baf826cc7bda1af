#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "elimination_plan.h"

namespace marginalia::elimination {

/// The steps of a plan as threads share them. Messages run along a forest: below a step lies a
/// branch, and branches side by side need nothing of each other. Those that are a small part of the
/// work go to the threads; the steps above them, the trunk, come one after the other, each on all
/// threads.
class Branches {
 public:
  /// All is trunk where there is one thread, or too little to do.
  Branches(const EliminationPlan& plan, int threads);

  /// Calls visit(n) with every step, those below it before it.
  void up(const std::function<void(std::size_t)>& visit) const;
  /// The same with those above it before it.
  void down(const std::function<void(std::size_t)>& visit) const;

 private:
  void in_branches(const std::function<void(const std::vector<std::size_t>&)>& visit) const;

  std::vector<std::vector<std::size_t>> branches_;  // of each thread, ascending
  std::vector<std::size_t> trunk_;                  // ascending
};

}  // namespace marginalia::elimination
