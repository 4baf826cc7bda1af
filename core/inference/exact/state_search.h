#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/factors.h>

namespace marginalia::elimination {

/// The best state that a search found, and what none exceeds.
struct SearchedState {
  std::vector<std::int64_t> x;  ///< [D]
  double log_density;           ///< log f(x), nats; -inf: none was found
  double upper;                 ///< log_density itself where the search proved it
};

/// log f(x) of a whole state, [D].
MARGINALIA_API double log_density(const FactorModel& model, const std::vector<std::int64_t>& x);

/// Searches a connected model whose elimination does not fit: by local search, then by branch and
/// bound under mini-buckets that grow as long as nothing is proved.
class StateSearch {
 public:
  /// A quick local search. model, left: outlive this; left(): processor seconds that are left.
  StateSearch(const FactorModel& model, const std::function<double()>& left);
  ~StateSearch();
  bool proved() const;      ///< whether the state is known to be the most probable one
  void run(double memory);  ///< all the rest; memory: GiB
  SearchedState result() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace marginalia::elimination
