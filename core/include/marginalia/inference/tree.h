#pragma once

#include <cstdint>

#include <marginalia/api.h>
#include <marginalia/dataset.h>
#include <marginalia/query.h>
#include <marginalia/state_space.h>
#include <marginalia/stream.h>

namespace marginalia::trees {

/// A directed tree of variables, or several: p(x) = prod_i p(x_i | x_parent(i)).
struct Tree {
  Tensor parent;  ///< int64 [D]; -1: a root
  Tensor order;   ///< int64 [D], parents before their children
  Tensor p;       ///< float64 [D, K, K]: p[i, j, k] = p(x_i = k | x_parent = j); roots: any j
};

/// Counts of values and of pairs of values; of rows with gaps, where they are known.
struct Counts {
  double rows = 0;
  Tensor single;  ///< float64 [D, K]
  Tensor pairs;   ///< float64 [D, K, D, K]; undefined when not wanted
};
/// Adds the rows of x, int64 [B, D], which may have gaps, each `weight` [B] times; undefined: once.
MARGINALIA_API void add(Counts& counts, const Tensor& x, std::int64_t levels, bool pairs,
                        const Tensor& weight = {});
/// Counts all rows of the training split.
MARGINALIA_API Counts count_values(const Dataset& dataset, bool pairs);

/// All variables independent: p(x_i = k) = (n_ik + a / K_i) / (n_i + a), n_i = sum_k n_ik.
MARGINALIA_API Tree independent(const Counts& counts, const StateSpace& space, double a);

/// The tree of the greatest likelihood (Chow and Liu 1968, IEEE Trans. Inf. Theory 14): a maximum
/// spanning tree of the mutual informations of
///   p(x_i = k, x_j = l) = (n_ikjl + a / (K_i K_j)) / (n_ij + a),  rooted at variable 0,
/// n_ij the rows in which both are known: all N, but for gaps.
MARGINALIA_API Tree chow_liu(const Counts& counts, const StateSpace& space, double a);

/// Expected counts of (x_parent(i), x_i) given what is known of each row, gaps summed out: float64
/// [D, K, K], sums over rows each `weight` [B] times (undefined: once); of a root at parent value
/// 0.
MARGINALIA_API Tensor expected_pairs(const Tree& tree, const Tensor& partial,
                                     const Tensor& weight = {});
/// The tree of the same edges whose tables are pairs [D, K, K] as frequencies, smoothed by `a` rows
/// as chow_liu does: the M step of EM.
MARGINALIA_API Tree with_pairs(const Tree& tree, const Tensor& pairs, const StateSpace& space,
                               double a);

/// One step of EM on the training rows, gaps summed out: with_pairs of their expected_pairs.
MARGINALIA_API Tree improved(const Tree& tree, const Dataset& dataset, double a);

/// log p(x_S, A), exact, by messages from the leaves.  ->  float64 [B].
MARGINALIA_API Tensor log_marginal(const Tree& tree, const Evidence& known);
/// log p(x_i = k | x_S, A), exact, by messages up and down.  ->  float64 [B, D, K].
MARGINALIA_API Tensor log_conditionals(const Tree& tree, const Evidence& known);
/// Exact draws of the unknown variables given what is known.  ->  int64 [B, D].
MARGINALIA_API Tensor sample(const Tree& tree, const Evidence& known, Stream& stream);
/// The most probable completion of each row, by max-product messages; of equal ones that of the
/// lower values, parents first.  partial: int64 [B, D]  ->  int64 [B, D].
MARGINALIA_API Tensor most_probable(const Tree& tree, const Tensor& partial);
/// log p of that completion, by the messages alone.  ->  float64 [B].
MARGINALIA_API Tensor log_greatest(const Tree& tree, const Tensor& partial);

}  // namespace marginalia::trees
