#pragma once

#include <marginalia/state_space.h>
#include <marginalia/stream.h>

namespace marginalia {

/// States drawn uniformly: int64 [rows, D].
MARGINALIA_API Tensor uniform_states(const StateSpace& space, std::int64_t rows, Stream& stream);

/// States with some of their variables made unknown.
struct MaskedStates {
  Tensor partial;  ///< int64 [B, D]
  Tensor unknown;  ///< bool [B, D]: those that were known before
};

/// A random subset of each row's n known variables is kept: its size |S| uniform on 0..n-1 over the
/// batch (stratified: row b draws from the b-th part of the range), its members uniform. x may have
/// gaps, which stay unknown and are never among MaskedStates::unknown.
MARGINALIA_API MaskedStates mask_uniformly(const Tensor& x, Stream& stream);

/// Subset sizes for `rows` rows, stratified uniform on 0..limit-1: int64 [rows].
MARGINALIA_API Tensor stratified_sizes(std::int64_t rows, std::int64_t limit, Stream& stream);

/// -log p(x_i | x_S), averaged over the unknown i of each row; 0 where there is none.
/// log_p: float [B, D, K]; x: int64 [B, D]; unknown: bool [B, D]  ->  float [B], nats a variable.
MARGINALIA_API Tensor masked_cross_entropy(const Tensor& log_p, const Tensor& x,
                                           const Tensor& unknown);

}  // namespace marginalia
