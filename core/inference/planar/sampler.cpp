#include "sampler.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::planar {

std::optional<Lattice> find_lattice(const Graph& graph) {
  std::array<double, 2> low = graph.positions[0], high = low;
  for (const auto& p : graph.positions)
    for (std::size_t axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], p[axis]);
      high[axis] = std::max(high[axis], p[axis]);
    }
  const auto columns = high[0] - low[0] + 1, rows = high[1] - low[1] + 1;
  if (columns * rows != graph.vertices()) return std::nullopt;
  Lattice lattice{int(columns), int(rows), std::vector<int>(graph.positions.size(), -1)};
  for (int i = 0; i < graph.vertices(); ++i) {
    const auto& p = graph.positions[std::size_t(i)];
    const auto column = p[0] - low[0], row = p[1] - low[1];
    if (column != int(column) || row != int(row)) return std::nullopt;
    lattice.vertex[std::size_t(int(row) * lattice.columns + int(column))] = i;
  }
  const auto step = [](const Bond& b) {
    const auto x = std::abs(b.dx), y = std::abs(b.dy);
    return (x == 1 && y == 0) || (x == 0 && y == 1);
  };
  const auto across = lattice.rows * (lattice.columns - (graph.wraps[0] ? 0 : 1));
  const auto up = lattice.columns * (lattice.rows - (graph.wraps[1] ? 0 : 1));
  const bool all = std::ranges::count(lattice.vertex, -1) == 0 &&
                   std::ranges::all_of(graph.bonds, step) && int(graph.bonds.size()) == across + up;
  return all ? std::optional(lattice) : std::nullopt;
}

namespace {

int find_bond(const Graph& graph, int from, int to) {
  for (const auto h : graph.half_edges[std::size_t(from)]) {
    const auto& bond = graph.bonds[std::size_t(h / 2)];
    if (bond.seam == 0 && (h % 2 == 0 ? bond.v : bond.u) == to) return h / 2;
  }
  throw Error("planar: a lattice lacks a bond");
}

/// Along the seams: the first column of an axis that wraps, and the first row of the other.
std::vector<Link> seam_links(const Graph& graph, const Lattice& lattice) {
  std::vector<Link> links;
  const auto add = [&](int from, int to) {
    links.push_back({find_bond(graph, from, to), from, to});
  };
  for (int row = 1; graph.wraps[0] && row < lattice.rows; ++row)
    add(lattice.at(0, row - 1), lattice.at(0, row));
  for (int column = 1; graph.wraps[1] && column < lattice.columns; ++column)
    add(lattice.at(column - 1, 0), lattice.at(column, 0));
  return links;
}

/// A spanning tree from `start`, marking what it reaches.
std::vector<Link> spanning_tree(const Graph& graph, int start, std::vector<char>& reached) {
  std::vector<Link> links;
  std::vector<int> open{start};
  reached[std::size_t(start)] = 1;
  for (std::size_t next = 0; next < open.size(); ++next)
    for (const auto h : graph.half_edges[std::size_t(open[next])]) {
      const auto& bond = graph.bonds[std::size_t(h / 2)];
      const auto to = h % 2 == 0 ? bond.v : bond.u;
      if (reached[std::size_t(to)]) continue;
      reached[std::size_t(to)] = 1;
      links.push_back({h / 2, open[next], to});
      open.push_back(to);
    }
  return links;
}

}  // namespace

SpinSampler::SpinSampler(Graph graph, const std::vector<Weight<double>>& weights)
    : graph_(std::move(graph)) {
  const auto add = [&](int start, const std::vector<Link>& links) {
    starts_.push_back(start);
    if (!links.empty()) links_.emplace_back(graph_, weights, links);
  };
  if (const auto lattice = find_lattice(graph_)) {
    if (graph_.wraps[0] || graph_.wraps[1]) add(lattice->at(0, 0), seam_links(graph_, *lattice));
    std::vector<int> rest;
    for (int row = graph_.wraps[1] ? 1 : 0; row < lattice->rows; ++row)
      for (int column = graph_.wraps[0] ? 1 : 0; column < lattice->columns; ++column)
        rest.push_back(lattice->at(column, row));
    if (!rest.empty()) halves_.emplace(graph_, weights, rest);
    return;
  }
  if (graph_.vertices() > kMaxTreeSpins)
    throw SpecError(
        fmt::format("planar: samples of a graph that is no lattice are drawn of at most {} "
                    "spins, this one has {}",
                    kMaxTreeSpins, graph_.vertices()));
  std::vector<char> reached(std::size_t(graph_.vertices()), 0);
  for (int i = 0; i < graph_.vertices(); ++i)
    if (!reached[std::size_t(i)]) add(i, spanning_tree(graph_, i, reached));
}

void SpinSampler::draw(const Choice& choose, std::vector<int>& s) const {
  for (const auto start : starts_)
    s[std::size_t(start)] = choose(0.5) ? 1 : -1;
  for (const auto& links : links_)
    links.draw(choose, s);
  if (halves_) halves_->draw(choose, s);
}

}  // namespace marginalia::planar
