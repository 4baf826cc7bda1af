#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/inference/chain_moves.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/query.h>

#include "samplers.h"

namespace marginalia::mcmc {

/// The rows that are p's own, of all replicas.
marginalia::Tensor own_rows(const Sampler& sampler, const marginalia::Tensor& states);

/// Adds what sweeps of all replicas have moved.
void add(marginalia::ChainMoves& moves, const Sampler& sampler, const marginalia::Energy& energy,
         const Swept& swept, std::int64_t sweeps);

/// What a few sweeps from `states` of all replicas move, on a stream of their own.
marginalia::ChainMoves tried(const Sampler& sampler, const marginalia::Energy& energy,
                             const marginalia::Tensor& states);

/// A warning for all rows of the same evidence together whose chains are stuck, by a few sweeps
/// more. partial: int64 [B, D], the evidence; states: int64 [B, D], where its chains came to in
/// `sweeps` sweeps.
std::vector<marginalia::AnswerWarning> list_warnings(const Sampler& sampler,
                                                     const marginalia::Support& support,
                                                     const marginalia::Tensor& partial,
                                                     const marginalia::Tensor& states,
                                                     std::int64_t sweeps);

}  // namespace marginalia::mcmc
