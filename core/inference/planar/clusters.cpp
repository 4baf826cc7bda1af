#include "clusters.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include <marginalia/error.h>

namespace marginalia::planar {
namespace {

/// Disjoint sets of vertices.
class Sets {
 public:
  explicit Sets(int n) : parent_(std::size_t(n)) { std::iota(parent_.begin(), parent_.end(), 0); }
  int find(int i) {
    while (parent_[std::size_t(i)] != i)
      i = parent_[std::size_t(i)] = parent_[std::size_t(parent_[std::size_t(i)])];
    return i;
  }
  /// Whether they were apart.
  bool join(int i, int j) {
    const auto a = find(i), b = find(j);
    parent_[std::size_t(a)] = b;
    return a != b;
  }

 private:
  std::vector<int> parent_;
};

/// Draws lines between known spins of two clusters that are neighbours of one vertex and share a
/// face, K = 0, pinned as bonds are.
void join_across_faces(const std::vector<char>& known, Sets& sets, Clusters& clusters) {
  auto& graph = clusters.graph;
  for (int w = 0; w < graph.vertices(); ++w) {
    if (known[std::size_t(w)]) continue;
    const auto around = graph.half_edges[std::size_t(w)];
    for (std::size_t i = 0; i < around.size(); ++i) {
      const auto one = around[i], two = around[(i + 1) % around.size()];
      const auto u = graph.far_end(one), v = graph.far_end(two);
      if (u == v || !known[std::size_t(u)] || !known[std::size_t(v)]) continue;
      if (graph.bonds[std::size_t(one / 2)].seam || graph.bonds[std::size_t(two / 2)].seam)
        continue;
      if (sets.find(u) == sets.find(v) || !is_free(graph, u, v)) continue;
      sets.join(u, v);
      clusters.tree.push_back(graph.add_bond(u, v));
    }
  }
}

/// The shortest path from the clusters whose root is in `reached` to another one.
std::optional<Path> next_path(const Graph& graph, const std::vector<char>& known, Sets& sets,
                              const std::vector<char>& reached) {
  const auto n = std::size_t(graph.vertices());
  std::vector<int> by(n, -1), open;  // the half-edge that a vertex was reached along
  std::vector<char> seen(n, 0);
  for (int i = 0; i < int(n); ++i)
    if (known[std::size_t(i)] && reached[std::size_t(sets.find(i))]) {
      seen[std::size_t(i)] = 1;
      open.push_back(i);
    }
  for (std::size_t next = 0; next < open.size(); ++next)
    for (const auto h : graph.half_edges[std::size_t(open[next])]) {
      const auto v = graph.far_end(h);
      if (seen[std::size_t(v)]) continue;
      seen[std::size_t(v)] = 1;
      by[std::size_t(v)] = h;
      open.push_back(v);
      if (!known[std::size_t(v)]) continue;
      Path path{0, v, {}};
      for (path.a = v; by[std::size_t(path.a)] >= 0;) {
        const auto back = by[std::size_t(path.a)];
        path.bonds.push_back(back / 2);
        path.a = graph.far_end(back ^ 1);
      }
      return path;
    }
  return std::nullopt;
}

/// Joins the clusters by paths; those that no path leads to are independent of the rest.
void find_paths(const std::vector<char>& known, Sets& sets, Clusters& clusters) {
  std::vector<char> reached(known.size(), 0);
  const auto first = std::ranges::find(known, char(1)) - known.begin();
  reached[std::size_t(sets.find(int(first)))] = 1;
  for (int left = clusters.count - 1; left > 0; --left) {
    const auto path = next_path(clusters.graph, known, sets, reached);
    if (!path) break;
    reached[std::size_t(sets.find(path->b))] = 1;
    clusters.paths.push_back(*path);
  }
  // the rest, each by itself: nothing correlates it with what was reached
  for (int i = 0; i < int(known.size()); ++i)
    if (const auto root = std::size_t(sets.find(i)); known[std::size_t(i)] && !reached[root]) {
      reached[root] = 1;
      while (const auto path = next_path(clusters.graph, known, sets, reached)) {
        reached[std::size_t(sets.find(path->b))] = 1;
        clusters.paths.push_back(*path);
      }
    }
}

}  // namespace

Clusters find_clusters(const Graph& graph, const std::vector<char>& known, bool across_faces) {
  Clusters clusters{graph, {}, {}, 0};
  Sets sets(graph.vertices());
  for (std::size_t e = 0; e < graph.bonds.size(); ++e) {
    const auto& bond = graph.bonds[e];
    if (known[std::size_t(bond.u)] && known[std::size_t(bond.v)] && sets.join(bond.u, bond.v))
      clusters.tree.push_back(int(e));
  }
  if (across_faces) join_across_faces(known, sets, clusters);
  for (int i = 0; i < graph.vertices(); ++i)
    if (known[std::size_t(i)] && sets.find(i) == i) ++clusters.count;
  if (clusters.count > 1 && (!across_faces || clusters.count <= kMaxClusters))
    find_paths(known, sets, clusters);
  return clusters;
}

std::vector<Weight<double>> pinned_weights(const Clusters& clusters, const std::vector<int>& s) {
  auto weights = own_weights(clusters.graph);
  for (const auto e : clusters.tree) {
    const auto& bond = clusters.graph.bonds[std::size_t(e)];
    weights[std::size_t(e)].q = s[std::size_t(bond.u)] * s[std::size_t(bond.v)];
  }
  return weights;
}

void need_digits(double total, double absolute) {
  constexpr double kLeast = 1e-10;  // of rounding to 1e-16
  if (!(total > kLeast * absolute))
    throw SpecError(
        "planar: what is known is so improbable that the signed sums over paths between its "
        "clusters cancel, and fewer than 6 digits are left; ask for clusters that agree more");
}

double log_sum(const Clusters& clusters, const std::vector<int>& s) {
  const auto& graph = clusters.graph;
  std::vector<int> open;
  for (const auto& path : clusters.paths)
    open.insert(open.end(), path.bonds.begin(), path.bonds.end());
  const PartialSum sum(graph, pinned_weights(clusters, s), open);
  // log of the factors that are no part of E
  auto log_factor = graph.constant + (graph.vertices() - clusters.count) * std::log(2.0);
  std::vector<char> pinned(graph.bonds.size(), 0);
  for (const auto e : clusters.tree)
    pinned[std::size_t(e)] = 1;
  for (std::size_t e = 0; e < graph.bonds.size(); ++e) {
    const auto& bond = graph.bonds[e];
    log_factor += pinned[e]
                      ? bond.K * s[std::size_t(bond.u)] * s[std::size_t(bond.v)] - std::log(2.0)
                      : log_cosh(bond.K);
  }
  double total = 0, absolute = 0;
  std::optional<double> scale;
  for_path_sets(clusters, s, sum.weights(), [&](int sign, const auto& weights) {
    const auto E = sum(weights);
    if (!scale) scale = E.log + std::log(E.unit);  // the first is the largest, and above 0
    const auto term = E.unit * std::exp(E.log - *scale);
    total += sign * term;
    absolute += std::fabs(term);
  });
  need_digits(total, absolute);
  return log_factor + *scale + std::log(total);
}

}  // namespace marginalia::planar
