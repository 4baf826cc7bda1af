#pragma once

#include <functional>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/query.h>
#include <marginalia/stream.h>

namespace marginalia {

/// A normalised law whose sums are exact: what trees, circuits and mixtures have in common.
struct ExactModel {
  std::function<Tensor(const Evidence& known)> log_marginal;            ///< float64 [B]
  std::function<Tensor(const Evidence& known)> log_conditionals;        ///< float64 [B, D, K]
  std::function<Tensor(const Evidence& known, Stream& stream)> sample;  ///< int64 [B, D]
  /// A completion that is probable, int64 [B, D]; empty where the model looks for none.
  std::function<Tensor(const Tensor& partial)> most_probable = {};
  Status most_probable_status = Status::kLower;  ///< kExact: that of the most probable one
  /// What log p of no completion exceeds, float64 [B]: log p itself of whole states, and the closer
  /// the more is known. Empty where no bound is known. partial: int64 [B, D]
  std::function<Tensor(const Tensor& partial)> max_bound = {};
};

/// log p_ik / sum_l p_il of unknown variables i; a known variable is what it is.
/// p: float64 [B, D, K], none below 0; partial: int64 [B, D]  ->  float64 [B, D, K].
MARGINALIA_API Tensor log_conditionals_of(const Tensor& p, const Tensor& partial);

/// Answers kLogMarginal, kConditionals and kSample, each exactly and of sets of values too, and
/// kMaxProbable where the model does; a state with log p(x_U | x_S, A), of which that of
/// kMaxProbable is the largest or a lower bound on it: as the model says of "max_product", and by
/// "branch_and_bound" the largest, Status::kExact, where a search under max_bound proves it. Throws
/// ImpossibleGiven for a row that is conditioned on what has probability zero.
MARGINALIA_API Answer answer_exactly(const ExactModel& model, const Query& query, Stream& stream);
/// What answer_exactly offers, as "one_pass", for Family::capabilities(); `passes` in words.
MARGINALIA_API std::vector<Capability> capabilities_of_exact(const std::string& passes);
/// "branch_and_bound", of models with a max_bound: a lower bound that may prove to be exact.
/// Source: Lawler and Wood (1966), doi:10.1287/opre.14.4.699
MARGINALIA_API Capability capability_of_search();

}  // namespace marginalia
