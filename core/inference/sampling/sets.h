#pragma once

#include <cstdint>

#include <marginalia/inference/any_order.h>

/// Sets of values as evidence for models of single conditionals.
namespace marginalia {

/// Values of the restricted variables of one row, each with a weight.
struct SetStates {
  Tensor states;      ///< int64 [N, D]: the row with its restricted variables known
  Tensor log_weight;  ///< float64 [N]: their sum is p(A | x_S), or an unbiased estimate of it
  double passes;      ///< of one row
  bool exact;         ///< all values, and not particles
};

struct SetLimits {
  double states = 1e5;            ///< the product of the sizes of sets up to which all are listed
  std::int64_t particles = 4096;  ///< beyond
};

/// The restricted variables of one row (rows() == 1), known one after the other, the smallest set
/// first, which takes the fewest passes:
///   p(A | x_S) = sum_{a in A} prod_j p(a_j | x_S, a_1, ..., a_{j-1}) allowed_j(a_j).
/// All of the sum, or particles: each draws a_j from its conditional within the set and counts for
/// the probability of that, and where less than half of them count they are drawn anew by their
/// weights (Doucet and Johansen 2011, sect. 3: sequential importance sampling with resampling).
/// Where A is impossible there are no states.
MARGINALIA_API SetStates list_sets(const LogConditionals& conditionals, const Evidence& row,
                                   Stream& stream, const SetLimits& limits = {});

/// Answers `query`, whose `allowed` is defined, as answer_from_conditionals does. Throws
/// ImpossibleGiven for conditionals and samples of a row whose sets have probability zero.
Answer answer_of_sets(const LogConditionals& conditionals, const Query& query, Stream& stream,
                      const ConditionalsInfo& info);

}  // namespace marginalia
