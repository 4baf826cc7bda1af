#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "sums.h"

namespace marginalia::planar {

/// The most clusters that known spins may fall into: 2^(kMaxClusters - 1) Pfaffians.
inline constexpr int kMaxClusters = 10;

/// A path of bonds between spins a and b of two clusters.
struct Path {
  int a, b;
  std::vector<int> bonds;
};

/// Known spins: what hangs together by bonds, or by lines drawn across faces.
struct Clusters {
  Graph graph;              ///< with such lines
  std::vector<int> tree;    ///< bonds that span each cluster
  std::vector<Path> paths;  ///< that join them, one fewer than clusters
  int count = 0;            ///< of clusters
};
/// known: [n]. across_faces: whether lines are drawn, for sums. Paths are looked for where there
/// are at most kMaxClusters of them, and between all where there are no lines.
MARGINALIA_API Clusters find_clusters(const Graph& graph, const std::vector<char>& known,
                                      bool across_faces = true);

/// The log of the sum of f over all states that have spins s [n] where they are not 0. With the
/// bonds of the trees pinned and c clusters it is 2^-c times a sum over the 2^(c-1) sets of paths
/// along which spins are multiplied.
MARGINALIA_API double log_sum(const Clusters& clusters, const std::vector<int>& s);

/// Throws SpecError unless digits are left of a sum whose terms' absolute values are `absolute`.
void need_digits(double total, double absolute);

/// p(s_i = 1 | s) of every spin [n], those that s says are not 0. Paths from what is known cover
/// the others; the sums of all spins of a path take little longer than one.
MARGINALIA_API std::vector<double> single_marginals(const Clusters& clusters,
                                                    const std::vector<int>& s);

/// The bonds of the trees pinned to what s says.
std::vector<Weight<double>> pinned_weights(const Clusters& clusters, const std::vector<int>& s);

/// Calls visit(sign, weights) with each set of paths, p and q of their bonds exchanged, and the
/// sign of the product of the known spins at their ends.
template <class Visit>
void for_path_sets(const Clusters& clusters, const std::vector<int>& s,
                   const std::vector<Weight<double>>& own, const Visit& visit) {
  for (std::size_t set = 0; set < std::size_t(1) << clusters.paths.size(); ++set) {
    auto weights = own;
    int sign = 1;
    for (std::size_t k = 0; k < clusters.paths.size(); ++k) {
      if (!(set >> k & 1)) continue;
      const auto& path = clusters.paths[k];
      sign *= s[std::size_t(path.a)] * s[std::size_t(path.b)];
      for (const auto e : path.bonds)
        std::swap(weights[std::size_t(e)].p, weights[std::size_t(e)].q);
    }
    visit(sign, weights);
  }
}

}  // namespace marginalia::planar
