#include "graph.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::planar {
namespace {

using Point = std::array<double, 2>;

constexpr double kFrom = -2.2;  // radians; where angles count from: no lattice has such a bond

/// The angle from there to a direction, in [0, 2 pi).
double angle(double dx, double dy) {
  constexpr auto kTurn = 2 * std::numbers::pi;
  const auto a = std::fmod(std::atan2(dy, dx) - kFrom + 2 * kTurn, kTurn);
  return a < 0 ? a + kTurn : a;
}

/// What a factor says of spins: constant + K s s.
struct Coupling {
  double constant = 0, K = 0;
};

std::optional<Coupling> coupling_of(const Factor& factor) {
  const auto& w = factor.log_values;
  const auto close = [](double a, double b) {
    return std::fabs(a - b) <= 1e-14 * (std::fabs(a) + std::fabs(b));
  };
  if (factor.scope.empty()) return Coupling{w[0], 0};
  if (factor.scope.size() == 1)
    return close(w[0], w[1]) ? std::optional(Coupling{w[0], 0}) : std::nullopt;
  if (!close(w[0], w[3]) || !close(w[1], w[2])) return std::nullopt;
  return Coupling{(w[0] + w[1]) / 2, (w[0] - w[1]) / 2};
}

/// The shortest displacement from a to b; `seam` says which seams it crosses.
Point displacement(const Drawing& drawing, const Point& a, const Point& b, int& seam) {
  Point d;
  seam = 0;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    d[axis] = b[axis] - a[axis];
    const auto period = drawing.periods[axis];
    if (period <= 0) continue;
    const auto turns = std::round(d[axis] / period);
    if (turns == 0) continue;
    d[axis] -= turns * period;
    seam |= 1 << axis;
  }
  return d;
}

Bond turned(int u, int v, double K, int seam, const Point& d) {
  if (angle(d[0], d[1]) < std::numbers::pi) return {v, u, K, seam, -d[0], -d[1]};
  return {u, v, K, seam, d[0], d[1]};
}

void sort_half_edges(Graph& graph, int vertex) {
  const auto at = [&](int half_edge) {
    const auto& bond = graph.bonds[std::size_t(half_edge / 2)];
    const auto from_u = angle(bond.dx, bond.dy);
    return half_edge % 2 == 0 ? from_u : from_u - std::numbers::pi;
  };
  std::ranges::sort(graph.half_edges[std::size_t(vertex)], {}, at);
}

double cross(const Point& o, const Point& a, const Point& b) {
  return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
}

/// Whether segments ab and cd have a point in common; collinear ones where they overlap.
bool touch(const Point& a, const Point& b, const Point& c, const Point& d) {
  for (std::size_t axis = 0; axis < 2; ++axis)
    if (std::max(a[axis], b[axis]) < std::min(c[axis], d[axis]) ||
        std::max(c[axis], d[axis]) < std::min(a[axis], b[axis]))
      return false;
  const auto scale = std::fabs(b[0] - a[0]) + std::fabs(b[1] - a[1]);
  const auto tiny = 1e-12 * scale * (std::fabs(d[0] - c[0]) + std::fabs(d[1] - c[1]));
  const auto sign = [&](double x) { return x > tiny ? 1 : x < -tiny ? -1 : 0; };
  return sign(cross(a, b, c)) * sign(cross(a, b, d)) <= 0 &&
         sign(cross(c, d, a)) * sign(cross(c, d, b)) <= 0;
}

/// Whether two bonds with one end in common lie on each other.
bool overlap(const Point& o, const Point& a, const Point& b) {
  const auto dot = (a[0] - o[0]) * (b[0] - o[0]) + (a[1] - o[1]) * (b[1] - o[1]);
  return dot > 0 && std::fabs(cross(o, a, b)) <= 1e-12 * dot;
}

bool meet(const Graph& graph, int u, int v, const Bond& bond) {
  const auto& at = graph.positions;
  const auto p = [&](int vertex) { return at[std::size_t(vertex)]; };
  if (u == bond.u) return overlap(p(u), p(v), p(bond.v));
  if (u == bond.v) return overlap(p(u), p(v), p(bond.u));
  if (v == bond.u) return overlap(p(v), p(u), p(bond.v));
  if (v == bond.v) return overlap(p(v), p(u), p(bond.u));
  return touch(p(u), p(v), p(bond.u), p(bond.v));
}

std::string name(const Bond& bond) {
  const auto [i, j] = std::minmax(bond.u, bond.v);
  return fmt::format("{}-{}", i, j);
}

/// The plane in squares of about the size of a bond.
class Cells {
 public:
  explicit Cells(const Graph& graph) : graph_(graph) {
    double longest = 0;
    for (const auto& bond : graph.bonds) {
      const auto length = std::max(std::fabs(bond.dx), std::fabs(bond.dy));
      longest = std::max(longest, length);
      size_ += length / double(graph.bonds.size());
    }
    size_ = std::max({size_, longest / 64, 1e-300});  // a long bond has a part in few of them
  }
  /// Calls visit(x, y) for each square that the box of a bond has a part in.
  template <class Visit>
  void for_each(const Bond& bond, const Visit& visit) const {
    const auto &a = graph_.positions[std::size_t(bond.u)],
               &b = graph_.positions[std::size_t(bond.v)];
    const auto cell = [&](double at) { return std::int64_t(std::floor(at / size_)); };
    for (auto x = cell(std::min(a[0], b[0])); x <= cell(std::max(a[0], b[0])); ++x)
      for (auto y = cell(std::min(a[1], b[1])); y <= cell(std::max(a[1], b[1])); ++y)
        visit(x, y);
  }

 private:
  const Graph& graph_;
  double size_ = 0;
};

std::string find_twice(const Graph& graph) {
  std::map<Point, int> seen;
  for (int i = 0; i < graph.vertices(); ++i)
    if (const auto [found, added] = seen.emplace(graph.positions[std::size_t(i)], i); !added)
      return fmt::format("vertices {} and {} have one position", found->second, i);
  return "";
}

}  // namespace

int Graph::add_bond(int u, int v) {
  const auto &a = positions[std::size_t(u)], &b = positions[std::size_t(v)];
  bonds.push_back(turned(u, v, 0, 0, {b[0] - a[0], b[1] - a[1]}));
  const auto e = int(bonds.size()) - 1;
  half_edges[std::size_t(bonds.back().u)].push_back(2 * e);
  half_edges[std::size_t(bonds.back().v)].push_back(2 * e + 1);
  sort_half_edges(*this, u);
  sort_half_edges(*this, v);
  return e;
}

std::string obstacle_to_spins(const FactorModel& model) {
  for (std::size_t i = 0; i < model.cardinalities.size(); ++i)
    if (model.cardinalities[i] != 2)
      return fmt::format("variable {} has {} values, spins have 2", i, model.cardinalities[i]);
  std::int64_t fields = 0, first = 0;
  for (const auto& factor : model.factors) {
    if (factor.scope.size() > 2)
      return fmt::format("a factor has {} variables, bonds have 2", factor.scope.size());
    for (const auto value : factor.log_values)
      if (!std::isfinite(value)) return "a factor forbids some of its states";
    if (coupling_of(factor)) continue;
    if (factor.scope.size() == 2)
      return fmt::format("the factor of {} and {} is no coupling alone: a field is in it",
                         factor.scope[0], factor.scope[1]);
    if (fields++ == 0) first = factor.scope[0];
  }
  if (fields > 0)
    return fmt::format("fields act on {} of {} variables, the first on {}", fields,
                       model.cardinalities.size(), first);
  return "";
}

Graph make_graph(const FactorModel& model, const Drawing& drawing) {
  if (const auto why = obstacle_to_spins(model); !why.empty()) throw SpecError(why);
  Graph graph;
  graph.positions = drawing.positions;
  for (std::size_t axis = 0; axis < 2; ++axis)
    graph.wraps[axis] = drawing.periods[axis] > 0;
  graph.half_edges.resize(graph.positions.size());
  std::map<std::pair<int, int>, double> couplings;
  for (const auto& factor : model.factors) {
    const auto [constant, K] = *coupling_of(factor);
    graph.constant += constant;
    if (factor.scope.size() == 2)
      couplings[std::minmax(int(factor.scope[0]), int(factor.scope[1]))] += K;
  }
  for (const auto& [ends, K] : couplings) {
    int seam = 0;
    const auto d = displacement(drawing, drawing.positions[std::size_t(ends.first)],
                                drawing.positions[std::size_t(ends.second)], seam);
    const auto e = int(graph.bonds.size());
    graph.bonds.push_back(turned(ends.first, ends.second, K, seam, d));
    graph.half_edges[std::size_t(graph.bonds.back().u)].push_back(2 * e);
    graph.half_edges[std::size_t(graph.bonds.back().v)].push_back(2 * e + 1);
  }
  for (int i = 0; i < graph.vertices(); ++i)
    sort_half_edges(graph, i);
  return graph;
}

std::string find_crossing(const Graph& graph) {
  if (const auto twice = find_twice(graph); !twice.empty()) return twice;
  const Cells cells(graph);
  std::map<std::array<std::int64_t, 2>, std::vector<std::size_t>> seen;
  for (std::size_t e = 0; e < graph.bonds.size(); ++e) {
    std::string found;
    cells.for_each(graph.bonds[e], [&](std::int64_t x, std::int64_t y) {
      auto& here = seen[{x, y}];
      for (const auto other : here)
        if (found.empty() &&
            meet(graph, graph.bonds[other].u, graph.bonds[other].v, graph.bonds[e]))
          found = fmt::format("the bonds {} and {} cross or touch", name(graph.bonds[other]),
                              name(graph.bonds[e]));
      here.push_back(e);
    });
    if (!found.empty()) return found;
  }
  return "";
}

bool is_free(const Graph& graph, int u, int v) {
  return std::ranges::none_of(graph.bonds,
                              [&](const Bond& b) { return b.seam == 0 && meet(graph, u, v, b); });
}

}  // namespace marginalia::planar
