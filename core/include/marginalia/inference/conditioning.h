#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/api.h>
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

/// A pass for each of `variables`, from 0: two that lie less than `spacing` links apart are never
/// in one. Greedy in the order given; spacing 0 or less: each has its own.
MARGINALIA_API std::vector<std::int64_t> spaced_passes(const Neighbours& neighbours,
                                                       const std::vector<std::int64_t>& variables,
                                                       std::int64_t spacing);

}  // namespace marginalia
