#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/energy.h>
#include <marginalia/factors.h>

namespace marginalia {

/// What is left of a density made of factors once some variables are known:
///
///   log f(x_S, x_U) = constant + sum_a phi'_a(x_U),
///
/// which falls apart into the connected components of U: their sums are independent
/// given x_S (the Markov property of the factor graph).
struct Conditioned {
  std::vector<std::int64_t> variables;  ///< U, ascending; a variable of `model` is a place in it
  FactorModel model;                    ///< over U
  double constant = 0;                  ///< nats, of the factors whose variables are all known
};

/// values: [D], kUnknown for what is in U.
MARGINALIA_API Conditioned conditioned(const FactorModel& model, const std::int64_t* values);

/// For each variable those it shares a factor with, ascending: [D][...].
using Neighbours = std::vector<std::vector<std::int64_t>>;
MARGINALIA_API Neighbours find_neighbours(const FactorModel& model);

/// The number of the connected component of each variable, from 0: [D].
MARGINALIA_API std::vector<std::int64_t> find_components(const Neighbours& neighbours);

/// Variables that, once known, leave a model whose elimination makes messages of at most 2^bits
/// entries (binary variables: an induced width of `bits`), by a greedy order of fewest neighbours;
/// none of a component that is so narrow anyhow. A w-cutset: Bidyuk and Dechter (2007),
/// doi:10.1613/jair.2149.
MARGINALIA_API std::vector<std::int64_t> cutset(const FactorModel& model,
                                                const Neighbours& neighbours, double bits);

/// What is left once components are taken away in whose elimination messages would have more than
/// 2^bits entries; the constant is 0.
MARGINALIA_API Conditioned narrow_part(const Conditioned& left, double bits);

/// A pass for each of `variables`, from 0: two that lie less than `spacing` links apart are never
/// in one. Greedy in the order given; spacing 0 or less: each has its own.
MARGINALIA_API std::vector<std::int64_t> spaced_passes(const Neighbours& neighbours,
                                                       const std::vector<std::int64_t>& variables,
                                                       std::int64_t spacing);

/// Which partial states have a completion that f allows, log f > -inf.
///
/// Told by the energy's constraints: factors whose variables are known; exactly, by elimination,
/// where what they leave is narrow; elsewhere by what each factor supports. Of an energy that has
/// more than factors, by its completions too, where they are few.
class MARGINALIA_API Support {
 public:
  /// energy: outlives this.
  explicit Support(const Energy& energy);

  /// Rows of which it can be told that they have no such completion.  int64 [B, D]  ->  bool [B].
  Tensor excludes(const Tensor& partial) const;
  /// Whether the constraints alone leave no state at all; asks for no log f.
  bool is_empty() const;
  /// Throws ImpossibleGiven for the first row of `given`, int64 [B, D], that is excluded.
  void check_given(const Tensor& given) const;
  /// The values that each variable has in some such completion, at most: bool [D, K]. None where
  /// the energy has more than factors and the completions are too many to be looked at.
  std::optional<Tensor> values(const Tensor& partial) const;  ///< partial: int64 [D]

  const Energy& energy() const { return energy_; }

 private:
  /// The values that the constraints leave, bool [D, K]; none where they leave no completion.
  std::optional<Tensor> by_constraints(const Tensor& partial) const;

  const Energy& energy_;
  FactorModel forbidding_;  // the constraints that forbid something: 0 what they allow, else -inf
  bool has_more_;           // than factors
};

/// Throws SpecError: the energy forbids every state.
[[noreturn]] MARGINALIA_API void refuse_all_forbidden(const Energy& energy);

}  // namespace marginalia
