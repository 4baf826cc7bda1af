#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <ATen/Parallel.h>

#include "clusters.h"

namespace marginalia::planar {
namespace {

/// A path from a known spin: bonds, and the spin at the far end of each.
struct Reach {
  int from;
  std::vector<int> bonds, spins;
};

/// Shortest paths that together reach every spin that hangs together with what is known, the
/// longest first.
std::vector<Reach> covering_paths(const Graph& graph, const std::vector<int>& s) {
  std::vector<int> by(s.size(), -1), order;  // the half-edge that a spin was reached along
  std::vector<char> seen(s.size(), 0);
  for (std::size_t i = 0; i < s.size(); ++i)
    if (s[i] != 0) {
      seen[i] = 1;
      order.push_back(int(i));
    }
  for (std::size_t next = 0; next < order.size(); ++next)
    for (const auto h : graph.half_edges[std::size_t(order[next])]) {
      const auto v = graph.far_end(h);
      if (seen[std::size_t(v)]) continue;
      seen[std::size_t(v)] = 1;
      by[std::size_t(v)] = h;
      order.push_back(v);
    }
  std::vector<char> covered(s.size(), 0);
  std::vector<Reach> paths;
  for (auto n = order.size(); n-- > 0;) {  // the farthest first
    auto v = order[n];
    if (s[std::size_t(v)] != 0 || covered[std::size_t(v)]) continue;
    Reach path{};
    for (; by[std::size_t(v)] >= 0; v = graph.far_end(by[std::size_t(v)] ^ 1)) {
      path.bonds.insert(path.bonds.begin(), by[std::size_t(v)] / 2);
      path.spins.insert(path.spins.begin(), v);
      covered[std::size_t(v)] = 1;
    }
    path.from = v;
    paths.push_back(path);
  }
  return paths;
}

/// <s_from s_i> of the spins along a path, given s.
std::vector<double> correlations(const Clusters& clusters, const std::vector<int>& s,
                                 const Reach& path) {
  auto open = path.bonds;
  for (const auto& other : clusters.paths)
    open.insert(open.end(), other.bonds.begin(), other.bonds.end());
  const PartialSum sum(clusters.graph, pinned_weights(clusters, s), open);
  std::vector<double> totals(path.bonds.size() + 1, 0.0);
  double absolute = 0;
  std::optional<double> scale;
  for_path_sets(clusters, s, sum.weights(), [&](int sign, const auto& weights) {
    const auto sums = sum.along(weights, path.bonds);
    if (!scale) scale = sums[0].log + std::log(sums[0].unit);
    for (std::size_t m = 0; m < sums.size(); ++m)
      totals[m] += sign * sums[m].unit * std::exp(sums[m].log - *scale);
    absolute += std::fabs(sums[0].unit) * std::exp(sums[0].log - *scale);
  });
  need_digits(totals[0], absolute);
  std::vector<double> result;
  for (std::size_t m = 1; m < totals.size(); ++m)
    result.push_back(std::clamp(totals[m] / totals[0], -1.0, 1.0));
  return result;
}

}  // namespace

std::vector<double> single_marginals(const Clusters& clusters, const std::vector<int>& s) {
  std::vector<double> p;
  for (const auto spin : s)
    p.push_back(0.5 * (1 + spin));
  const auto paths = covering_paths(clusters.graph, s);
  std::vector<std::vector<double>> found(paths.size());
  at::parallel_for(0, std::int64_t(paths.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto n = std::size_t(begin); n < std::size_t(end); ++n)
      found[n] = correlations(clusters, s, paths[n]);
  });
  for (std::size_t n = 0; n < paths.size(); ++n)
    for (std::size_t m = 0; m < found[n].size(); ++m)
      p[std::size_t(paths[n].spins[m])] = 0.5 * (1 + s[std::size_t(paths[n].from)] * found[n][m]);
  return p;
}

}  // namespace marginalia::planar
