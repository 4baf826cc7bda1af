#pragma once

#include <memory>
#include <string>

#include <marginalia/api.h>
#include <marginalia/factors.h>
#include <marginalia/tensor.h>

namespace marginalia {

/// A completion x_U of what is known of a state, and how far it is from the most probable one.
struct MostProbable {
  Tensor state;        ///< int64 [D]
  double log_density;  ///< log f(state), nats: the sum of its factors
  double upper;  ///< no completion has a greater log f; log_density itself where it is the most
  std::string method;  ///< "max-sum elimination", "branch and bound", "search"

  bool proved() const { return upper <= log_density; }
};

struct MostProbableSettings {
  double memory = 8;    ///< GiB that messages may take
  double seconds = 60;  ///< of processor time that a search may take for each question
};

/// Most probable completions of states under a density made of factors,
///   argmax_{x_U} sum_a phi_a(x_S, x_U).
///
/// Where messages fit into the memory, exactly: max-sum elimination. Elsewhere by search: local
/// search with restarts from states that mini-buckets guide, then branch and bound under their
/// bounds; what it ends with is proved where the search was, and told with its bound else.
/// Sources: Dechter (1999), doi:10.1016/S0004-3702(99)00059-4 (elimination); Dechter and Rish
/// (2003), doi:10.1145/636865.636866 (mini-buckets); Kask and Dechter (2001),
/// doi:10.1016/S0004-3702(01)00107-2 (branch and bound with them).
class MARGINALIA_API MostProbableStates {
 public:
  MostProbableStates(FactorModel model, const MostProbableSettings& settings);
  ~MostProbableStates();

  /// partial: int64 [D], values or kUnknown. Throws ImpossibleGiven(0) where no completion has any
  /// density, as far as that can be told.
  MostProbable operator()(const Tensor& partial) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace marginalia
