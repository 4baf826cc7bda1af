#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/state_space.h>
#include <marginalia/stream.h>

namespace trees {

using marginalia::Tensor;

/// A directed tree of variables, or several: p(x) = prod_i p(x_i | x_parent(i)).
struct Tree {
  Tensor parent;  ///< int64 [D]; -1: a root
  Tensor order;   ///< int64 [D], parents before their children
  Tensor p;       ///< float64 [D, K, K]: p[i, j, k] = p(x_i = k | x_parent = j); roots: any j
};

/// Counts of values and of pairs of values.
struct Counts {
  double rows = 0;
  Tensor single;  ///< float64 [D, K]
  Tensor pairs;   ///< float64 [D, K, D, K]; undefined when not wanted
};
/// Adds the rows of x, int64 [B, D].
void add(Counts& counts, const Tensor& x, std::int64_t levels, bool pairs);

/// All variables independent: p(x_i = k) = (n_ik + a / K_i) / (N + a).
Tree independent(const Counts& counts, const marginalia::StateSpace& space, double a);

/// The tree of the greatest likelihood (Chow and Liu 1968, IEEE Trans. Inf. Theory 14): a maximum
/// spanning tree of the mutual informations of
///   p(x_i = k, x_j = l) = (n_ikjl + a / (K_i K_j)) / (N + a),  rooted at variable 0.
Tree chow_liu(const Counts& counts, const marginalia::StateSpace& space, double a);

/// log p(x_S), exact, by messages from the leaves.  int64 [B, D]  ->  float64 [B].
Tensor log_marginal(const Tree& tree, const Tensor& partial);
/// log p(x_i = k | x_S), exact, by messages up and down.  ->  float64 [B, D, K].
Tensor log_conditionals(const Tree& tree, const Tensor& partial);
/// Exact draws of the unknown variables given the others.  ->  int64 [B, D].
Tensor sample(const Tree& tree, const Tensor& partial, marginalia::Stream& stream);

}  // namespace trees
