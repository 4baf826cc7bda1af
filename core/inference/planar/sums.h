#pragma once

#include <vector>

#include <marginalia/oracle.h>

#include "gluing.h"

namespace marginalia::planar {

/// log cosh K, also where cosh overflows.
double log_cosh(double K);

/// Vertices 0 .. n - 1.
std::vector<int> all_vertices(const Graph& graph);

/// (1, tanh K_e) of every bond.
MARGINALIA_API std::vector<Weight<double>> own_weights(const Graph& graph);

/// The sum over all states of  prod_e (p_e + q_e s_u s_v), halved for every vertex, in parts that
/// each belong to a choice of weights for some of the bonds.
class PartialSum {
 public:
  /// open: bonds whose weights are chosen later; beside them those across the seams of a torus.
  PartialSum(const Graph& graph, std::vector<Weight<double>> weights, const std::vector<int>& open,
             Cuts cuts = Cuts::kAcross);

  /// weights: [E], of which those of the open bonds are read.
  Scaled<double> operator()(const std::vector<Weight<double>>& weights) const;
  /// The sums with p and q of the first m bonds of a path, all open, exchanged, so that they are
  /// times the product of the spins at its ends: [m = 0 .. length]. O(k^3) of k open bonds.
  std::vector<Scaled<double>> along(const std::vector<Weight<double>>& weights,
                                    const std::vector<int>& path) const;
  const Piece<double>& root() const { return root_; }
  const std::vector<Weight<double>>& weights() const { return weights_; }

 private:
  const Graph& graph_;
  std::vector<Weight<double>> weights_;
  Piece<double> root_;
};

/// log Z and how far rounding may have moved it, nats: ten times what three ways to cut the graph
/// differ by, infinite where one gives no number.
struct Rounded {
  double value, error;
};
Rounded log_z(const Graph& graph);

/// d log Z(b) / db and its derivative at b = 1, f^b in place of f.
LogDensityMoments moments(const Graph& graph);

}  // namespace marginalia::planar
