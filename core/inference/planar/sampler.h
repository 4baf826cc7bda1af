#pragma once

#include <optional>
#include <string>
#include <vector>

#include "halves.h"

namespace marginalia::planar {

/// A lattice of positions one apart with every bond: its vertices row by row.
struct Lattice {
  int columns = 0, rows = 0;
  std::vector<int> vertex;  ///< [rows * columns]
  int at(int column, int row) const { return vertex[std::size_t(row * columns + column)]; }
};
/// None where the graph is no such lattice.
std::optional<Lattice> find_lattice(const Graph& graph);

/// The most spins of a graph that is no lattice of which samples are drawn: along a spanning tree,
/// in O(n^3).
inline constexpr int kMaxTreeSpins = 1024;

/// Exact samples: of a lattice by halves, on a cylinder or a torus once the spins along its seams
/// are drawn along links; of another graph along a spanning tree.
class MARGINALIA_API SpinSampler {
 public:
  /// Throws SpecError for a graph that is no lattice and has too many spins.
  SpinSampler(Graph graph, const std::vector<Weight<double>>& weights);
  SpinSampler(const SpinSampler&) = delete;
  SpinSampler& operator=(const SpinSampler&) = delete;

  void draw(const Choice& choose, std::vector<int>& s) const;  ///< fills s [n]

 private:
  Graph graph_;
  std::vector<int> starts_;  // spins that nothing known is linked to, one a component
  std::vector<LinkedSpins> links_;
  std::optional<Halves> halves_;
};

}  // namespace marginalia::planar
