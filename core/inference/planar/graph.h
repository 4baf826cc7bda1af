#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <marginalia/inference/planar.h>

namespace marginalia::planar {

/// A bond of two vertices. Its half-edges are 2 e at u and 2 e + 1 at v.
struct Bond {
  int u, v;
  double K = 0;   ///< nats
  int seam = 0;   ///< 1: crosses the seam of the first axis, 2: of the second, 3: both
  double dx, dy;  ///< from u to v
};

/// Spins, their bonds and, at each spin, the half-edges counter-clockwise.
///
/// Angles count from a direction that no bond has. Each bond is turned so that its half-edge at u
/// lies in the second half turn and that at v in the first: with Grassmann variables eta,
///   E = int exp(sum_vertices sum_{i<j} eta_i eta_j + sum_bonds eta_u eta_v)
/// then has every bond with one sign (Groeneveld, Boel and Kasteleyn 1978), whichever way it
/// points.
struct Graph {
  std::vector<Bond> bonds;
  std::vector<std::vector<int>> half_edges;      ///< [n][...]
  std::vector<std::array<double, 2>> positions;  ///< [n]
  bool wraps[2] = {false, false};
  double constant = 0;  ///< log f = constant + sum K s s

  int vertices() const { return int(positions.size()); }
  bool torus() const { return wraps[0] && wraps[1]; }
  /// The vertex that a half-edge leads to.
  int far_end(int half_edge) const {
    const auto& bond = bonds[std::size_t(half_edge / 2)];
    return half_edge % 2 == 0 ? bond.v : bond.u;
  }
  /// Adds a bond of K = 0 between u and v, drawn straight. -> its number
  int add_bond(int u, int v);
};

/// Why the factors are no Ising model without fields; empty where they are.
std::string obstacle_to_spins(const FactorModel& model);
/// Throws SpecError with the obstacle. Factors of the same two variables become one bond.
MARGINALIA_API Graph make_graph(const FactorModel& model, const Drawing& drawing);

/// Why the drawing is none: bonds that cross or touch, two vertices at one place; empty where it
/// is.
std::string find_crossing(const Graph& graph);
/// Whether a straight line from u to v, neighbours of one vertex, would touch no bond.
bool is_free(const Graph& graph, int u, int v);

}  // namespace marginalia::planar
