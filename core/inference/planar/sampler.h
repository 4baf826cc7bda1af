#pragma once

#include <optional>
#include <string>
#include <vector>

#include "halves.h"

namespace marginalia::planar {

/// The most spins of a graph that is no lattice of which samples are drawn: along a spanning tree,
/// in O(n^3).
inline constexpr int kMaxTreeSpins = 1024;

/// Exact samples: of a lattice by halves, on a cylinder or a torus once the spins along its seams
/// are drawn along links; of another graph along a spanning tree.
class MARGINALIA_API SpinSampler {
 public:
  /// Throws Error for a graph that is no lattice and has too many spins.
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
