#include "links.h"

#include <algorithm>
#include <cmath>

namespace marginalia::planar {
namespace {

std::vector<int> bonds_of(const std::vector<Link>& links) {
  std::vector<int> bonds;
  for (const auto& link : links)
    bonds.push_back(link.bond);
  return bonds;
}

/// The open bonds, glued, and beside each link but the first two half-edges of their own: copies of
/// the rows of the bond's, next to them around their spins. The copies come last.
Skew<double> with_copies(const Piece<double>& root, const Graph& graph,
                         const std::vector<Weight<double>>& weights, const SpinStructure& z,
                         const std::vector<Link>& links, std::size_t& glued) {
  std::vector<int> order = root.open;
  std::ranges::sort(order);
  glued = order.size();
  std::vector<std::size_t> place(2 * graph.bonds.size());
  for (std::size_t i = 0; i < root.open.size(); ++i)
    place[std::size_t(root.open[i])] = i;
  for (std::size_t k = 1; k < links.size(); ++k)
    order.insert(order.end(), {2 * links[k].bond, 2 * links[k].bond + 1});
  const auto weight = [&](std::size_t i) {
    auto w = weights[std::size_t(order[i] / 2)];
    w.q *= z.of(graph.bonds[std::size_t(order[i] / 2)].seam);
    return w;
  };
  const auto factor = [&](std::size_t i) {
    return i < glued && order[i] % 2 == 0 ? weight(i).q : 1.0;
  };
  // to the left of the bond from u to v: after the half-edge at u, before the one at v
  const auto around = [&](std::size_t i, std::size_t j) {
    if (order[i] == order[j]) return order[i] % 2 == 0 ? 1.0 : -1.0;
    return root.S.at(place[std::size_t(order[i])], place[std::size_t(order[j])]);
  };
  Skew<double> Q(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    for (auto j = i + 1; j < order.size(); ++j)
      Q.row(i)[j] = factor(i) * factor(j) * around(i, j);
  for (std::size_t i = 0; i < glued; i += 2)
    Q.row(i)[i + 1] += weight(i).p;
  return Q;
}

}  // namespace

LinkedSpins::LinkedSpins(const Graph& graph, const std::vector<Weight<double>>& weights,
                         std::vector<Link> links)
    : links_(std::move(links)) {
  const PartialSum sum(graph, weights, bonds_of(links_));
  const auto first = std::size_t(links_.front().bond);
  std::vector<Scaled<double>> sizes;
  for (const int together : {0, 1}) {
    auto pinned = weights;
    const double tau = together ? 1 : -1, factor = weights[first].p + tau * weights[first].q;
    pinned[first] = {1, tau};
    for (const auto& z : spin_structures(graph)) {
      std::size_t glued = 0;
      auto Q = with_copies(sum.root(), graph, pinned, z, links_, glued);
      auto E = eliminate(Q, glued);
      E *= factor * z.weight;
      sizes.push_back(E);
      start_[together].structures.push_back({0, Q.tail(glued)});
    }
  }
  double scale = -INFINITY, total = 0;
  for (const auto& E : sizes)
    if (E.unit != 0 && std::isfinite(E.unit))
      scale = std::max(scale, E.log + std::log(std::fabs(E.unit)));
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    auto& start = start_[n / (sizes.size() / 2)];
    auto& weight = start.structures[n % (sizes.size() / 2)].weight;
    weight = sizes[n].unit * std::exp(sizes[n].log - scale);
    if (!std::isfinite(weight)) weight = 0;
    start.probability += weight;
    total += weight;
  }
  for (auto& start : start_)
    start.probability /= total;
}

void LinkedSpins::draw(const Choice& choose, std::vector<int>& s) const {
  const auto set = [&](const Link& link, int tau) {
    s[std::size_t(link.to)] = tau * s[std::size_t(link.from)];
  };
  const int together = choose(start_[1].probability);
  set(links_.front(), together ? 1 : -1);
  auto structures = start_[together].structures;
  for (std::size_t k = 1; k < links_.size(); ++k) {
    const auto i = 2 * (k - 1);
    double all = 0, correlated = 0;
    for (const auto& [weight, S] : structures) {
      all += weight;
      correlated += weight * S.row(i)[i + 1];
    }
    const int tau = choose(0.5 * (1 + correlated / all)) ? 1 : -1;
    set(links_[k], tau);
    for (auto& [weight, S] : structures)
      weight *= pin(S, i, tau, 1);
  }
}

}  // namespace marginalia::planar
