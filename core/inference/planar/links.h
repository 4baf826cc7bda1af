#pragma once

#include <functional>
#include <vector>

#include "sums.h"

namespace marginalia::planar {

/// Says yes with the probability given.
using Choice = std::function<bool(double probability)>;

/// A bond along which a spin is drawn from one that was drawn before.
struct Link {
  int bond, from, to;
};

/// Draws spins along a chain or tree of bonds from their joint law, everything else summed over:
///   P(s_u s_v = tau) = sum_z w_z (1 + tau S_z[u', v']) / (2 sum_z w_z),  w_z *= 1 + tau S_z[u',
///   v']
/// over the spin structures z, u' and v' half-edges beside the bond's that are left open; each draw
/// pins them, a rank-two update.
class LinkedSpins {
 public:
  /// links: not empty; none crosses a seam.
  LinkedSpins(const Graph& graph, const std::vector<Weight<double>>& weights,
              std::vector<Link> links);

  /// Fills s [n] at the far ends of the links; at the first link's near end s is given.
  void draw(const Choice& choose, std::vector<int>& s) const;

 private:
  struct Structure {
    double weight;   // c_z E_z over the sum of their sizes
    Skew<double> S;  // of the half-edges beside each link but the first, two a link
  };
  struct Start {
    double probability = 0;
    std::vector<Structure> structures;
  };

  std::vector<Link> links_;
  Start start_[2];  // the first link's spins apart, together
};

}  // namespace marginalia::planar
