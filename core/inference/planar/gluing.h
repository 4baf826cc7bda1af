#pragma once

#include <array>
#include <vector>

#include "dissection.h"
#include "skew.h"

namespace marginalia::planar {

/// What a bond is in E:  p + q s_u s_v. (1, tanh K) by itself; (1, +-1) pins s_u s_v; (q, p)
/// multiplies by s_u s_v.
template <class Real>
struct Weight {
  Real p{1}, q{0};
};

/// Some vertices with the bonds between them summed over: E of them alone, and for the half-edges
/// that are left the matrix S of their Grassmann action,  E exp(1/2 eta S eta). On a disc S_ij is,
/// up to a sign that the drawing alone decides, <s_i s_j>.
template <class Real>
struct Piece {
  std::vector<int> open;  ///< half-edges
  Skew<Real> S;
  Scaled<Real> E;
};

/// Glues pieces along the bonds between them:  with P = S_1 + S_2, the half-edges of glued bonds
/// scaled, and Q = P_cc + J,
///   E = E_1 E_2 Pf Q,   S = P_yy - P_yc Q^-1 P_cy.
template <class Real>
class Gluing {
 public:
  /// kept: bonds that are not glued. Both outlive this.
  Gluing(const Graph& graph, const std::vector<Weight<Real>>& weights,
         const std::vector<char>& kept)
      : graph_(graph),
        weights_(weights),
        kept_(kept),
        side_(2 * graph.bonds.size(), 0),
        place_(2 * graph.bonds.size(), 0) {}

  /// One spin: S_ij = 1, i < j, of those of its half-edges for which `wanted` holds.
  template <class Wanted>
  Piece<Real> spin(int vertex, const Wanted& wanted) const {
    Piece<Real> piece;
    for (const auto h : graph_.half_edges[std::size_t(vertex)])
      if (wanted(h)) piece.open.push_back(h);
    piece.S = Skew<Real>(piece.open.size());
    for (std::size_t i = 0; i < piece.open.size(); ++i)
      for (auto j = i + 1; j < piece.open.size(); ++j)
        piece.S.set(i, j, Real(1));
    return piece;
  }

  Piece<Real> glue(const Piece<Real>& one, const Piece<Real>& two) {
    enter(one, 1);
    enter(two, 2);
    std::vector<int> order;  // glued pairs first
    for (const auto h : one.open)
      if (is_glued(h, 2)) {
        order.push_back(h & ~1);
        order.push_back(h | 1);
      }
    const auto glued = order.size();
    for (const auto* piece : {&one, &two})
      for (const auto h : piece->open)
        if (!is_glued(h, 3 - side_[std::size_t(h)])) order.push_back(h);
    auto P = joined(one, two, order, glued);
    leave(one);
    leave(two);
    Piece<Real> result;
    result.E = eliminate(P, glued);
    result.E *= one.E;
    result.E *= two.E;
    result.open.assign(order.begin() + std::ptrdiff_t(glued), order.end());
    result.S = P.tail(glued);
    return result;
  }

 private:
  void enter(const Piece<Real>& piece, char side) {
    for (std::size_t i = 0; i < piece.open.size(); ++i) {
      side_[std::size_t(piece.open[i])] = side;
      place_[std::size_t(piece.open[i])] = int(i);
    }
  }
  void leave(const Piece<Real>& piece) {
    for (const auto h : piece.open)
      side_[std::size_t(h)] = 0;
  }
  bool is_glued(int half_edge, int other) const {
    return side_[std::size_t(half_edge ^ 1)] == other && !kept_[std::size_t(half_edge / 2)];
  }

  Skew<Real> joined(const Piece<Real>& one, const Piece<Real>& two, const std::vector<int>& order,
                    std::size_t glued) const {
    Skew<Real> P(order.size());
    const auto factor = [&](std::size_t i) {
      return i < glued && i % 2 == 0 ? weights_[std::size_t(order[i] / 2)].q : Real(1);
    };
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto side = side_[std::size_t(order[i])];
      const auto& S = side == 1 ? one.S : two.S;
      const auto place = std::size_t(place_[std::size_t(order[i])]);
      const auto scale = factor(i);
      for (auto j = i + 1; j < order.size(); ++j)
        if (side_[std::size_t(order[j])] == side)
          P.row(i)[j] = scale * factor(j) * S.at(place, std::size_t(place_[std::size_t(order[j])]));
    }
    for (std::size_t i = 0; i < glued; i += 2)
      P.row(i)[i + 1] = P.row(i)[i + 1] + weights_[std::size_t(order[i] / 2)].p;
    return P;
  }

  const Graph& graph_;
  const std::vector<Weight<Real>>& weights_;
  const std::vector<char>& kept_;
  std::vector<char> side_;  // [2 E]: of the pieces at hand, which one holds a half-edge
  std::vector<int> place_;
};

/// All pieces of a dissection, by node; where `all` is not asked for, the root alone is kept.
/// wanted(h): half-edges that are not dropped.
template <class Real, class Wanted>
std::vector<Piece<Real>> glue_up(const Graph& graph, const Dissection& dissection,
                                 const std::vector<Weight<Real>>& weights,
                                 const std::vector<char>& kept, bool all, const Wanted& wanted) {
  Gluing<Real> gluing(graph, weights, kept);
  std::vector<Piece<Real>> pieces(dissection.nodes.size());
  for (std::size_t n = 0; n < pieces.size(); ++n) {
    const auto& node = dissection.nodes[n];
    if (node.left < 0) {
      pieces[n] = gluing.spin(dissection.order[std::size_t(node.begin)], wanted);
      continue;
    }
    auto &left = pieces[std::size_t(node.left)], &right = pieces[std::size_t(node.right)];
    pieces[n] = gluing.glue(left, right);
    if (!all) left = right = {};
  }
  return pieces;
}

/// E of the bonds that were kept, once they have weights: a Pfaffian of what is left at the root.
/// weights: of each kept bond, by its number.
template <class Real, class WeightOf>
Skew<Real> close(const Piece<Real>& root, const WeightOf& weight_of) {
  std::vector<std::size_t> order;  // places of pairs
  std::vector<int> where;
  for (const auto h : root.open)
    where.resize(std::max(where.size(), std::size_t(h) + 1), -1);
  for (std::size_t i = 0; i < root.open.size(); ++i)
    where[std::size_t(root.open[i])] = int(i);
  for (std::size_t h = 0; h < where.size(); h += 2)
    if (where[h] >= 0) {
      order.push_back(std::size_t(where[h]));
      order.push_back(std::size_t(where[h + 1]));
    }
  Skew<Real> Q(order.size());
  const auto weight = [&](std::size_t i) { return weight_of(root.open[order[i]] / 2); };
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto scale = i % 2 == 0 ? weight(i).q : Real(1);
    for (auto j = i + 1; j < order.size(); ++j)
      Q.row(i)[j] = scale * (j % 2 == 0 ? weight(j).q : Real(1)) * root.S.at(order[i], order[j]);
    if (i % 2 == 0) Q.row(i)[i + 1] = Q.row(i)[i + 1] + weight(i).p;
  }
  return Q;
}

/// The spin structures of the surface: signs of the bonds across its seams, and what each counts
/// in  E = sum_z c_z E_z  (Cimasoni 2010, arXiv:1004.3158). One in the plane.
struct SpinStructure {
  double sign[2];  ///< of bonds across each seam
  double weight;   ///< c_z
  double of(int seam) const { return (seam & 1 ? sign[0] : 1) * (seam & 2 ? sign[1] : 1); }
};
inline std::vector<SpinStructure> spin_structures(const Graph& graph) {
  if (!graph.torus()) return {{{-1, -1}, 1}};
  return {{{1, 1}, -0.5}, {{1, -1}, 0.5}, {{-1, 1}, 0.5}, {{-1, -1}, 0.5}};
}

}  // namespace marginalia::planar
