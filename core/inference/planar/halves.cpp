#include "halves.h"

#include <algorithm>
#include <cmath>

namespace marginalia::planar {

Halves::Halves(const Graph& graph, std::vector<Weight<double>> weights, std::vector<int> vertices)
    : graph_(graph),
      weights_(std::move(weights)),
      dissection_(dissect(graph, std::move(vertices))),
      pieces_(glue_up<double>(graph, dissection_, weights_,
                              std::vector<char>(graph.bonds.size(), 0), true,
                              [](int) { return true; })) {
  for (const auto& node : dissection_.nodes)
    cuts_.push_back(node.left < 0 ? Cut{} : find_cut(node));
}

int Halves::vertex(int half_edge) const {
  const auto& bond = graph_.bonds[std::size_t(half_edge / 2)];
  return half_edge % 2 == 0 ? bond.u : bond.v;
}

/// The row of what is beyond the rim from a half-edge of it.
Halves::Row Halves::beyond(int half_edge) const {
  const auto& bond = graph_.bonds[std::size_t(half_edge / 2)];
  const auto sign = half_edge % 2 == 0 ? 1 : -1;
  const auto dx = sign * bond.dx, dy = sign * bond.dy;
  const auto& at = graph_.positions[std::size_t(vertex(half_edge))];
  Row row{Kind::kOutside, half_edge ^ 1};
  if (std::fabs(dx) > 0.5) {
    row.side = dx > 0 ? 1 : 3;
    row.along = dx > 0 ? at[1] : -at[1];
  } else {
    row.side = dy > 0 ? 2 : 0;
    row.along = dy > 0 ? -at[0] : at[0];
  }
  return row;
}

Halves::Cut Halves::find_cut(const Dissection::Node& node) const {
  Cut cut;
  cut.sideways = node.axis == 0;
  const Piece<double>* halves[] = {&pieces_[std::size_t(node.left)],
                                   &pieces_[std::size_t(node.right)]};
  std::vector<Row> rows[2], rim;
  for (int half = 0; half < 2; ++half)
    for (std::size_t i = 0; i < halves[half]->open.size(); ++i)
      rows[half].push_back({half ? Kind::kSecond : Kind::kFirst, halves[half]->open[i], i});
  const auto find_partner = [&](const Row& row) {
    return std::ranges::find(rows[1], row.half_edge ^ 1, &Row::half_edge);
  };
  const auto add_pair = [&](const Row& a, const Row& b) {
    const bool first = a.half_edge % 2 == 0;
    cut.rows.push_back(first ? a : b);
    cut.rows.push_back(first ? b : a);
  };
  const auto along = [&](const Row& row) {
    return graph_.positions[std::size_t(vertex(row.half_edge))][cut.sideways ? 1 : 0];
  };
  std::ranges::sort(rows[0], {}, along);
  for (const auto& a : rows[0]) {
    const auto b = find_partner(a);
    if (b == rows[1].end()) {
      rim.push_back(a);
      continue;
    }
    cut.half_edges.push_back(a.half_edge);
    add_pair(a, *b);
    rows[1].erase(b);
  }
  rim.insert(rim.end(), rows[1].begin(), rows[1].end());
  for (const auto& y : rim)
    add_pair(y, beyond(y.half_edge));
  cut.glued = cut.rows.size();
  add_open_rows(cut, std::size_t(node.axis));
  return cut;
}

/// g, on the side where the cut begins, and copies of the half-edges of the first half.
void Halves::add_open_rows(Cut& cut, std::size_t axis) const {
  const auto count = cut.half_edges.size();
  std::vector<Row> before, after;
  for (std::size_t k = 0; k < count; ++k) {
    auto row = cut.rows[2 * k].kind == Kind::kFirst ? cut.rows[2 * k] : cut.rows[2 * k + 1];
    row.kind = Kind::kBefore;
    before.push_back(row);
    row.kind = Kind::kAfter;
    after.push_back(row);
  }
  const auto middle = graph_.positions[std::size_t(vertex(cut.half_edges.front()))][axis] + 0.5;
  cut.rows.push_back({Kind::kGhost, -1, 0, cut.sideways ? 0 : 3, cut.sideways ? middle : -middle});
  for (std::size_t k = 0; k < count; ++k) {
    cut.rows.push_back(before[k]);
    if (k + 1 < count) cut.rows.push_back(after[k]);
  }
}

/// S between two rows: of one half, with copies beside their half-edge, or of what is known.
double Halves::action(const Cut& cut, const Dissection::Node& node, const Row& a,
                      const Row& b) const {
  const auto part = [](const Row& row) {
    if (row.kind == Kind::kSecond) return 2;
    return row.kind == Kind::kOutside || row.kind == Kind::kGhost ? 0 : 1;
  };
  if (part(a) != part(b)) return 0;
  if (part(a) == 0) {  // one spin, seen counter-clockwise around the rectangle
    const auto sign = a.side / 2 == b.side / 2 ? -1.0 : 1.0;
    return std::pair(a.side, a.along) < std::pair(b.side, b.along) ? sign : -sign;
  }
  const auto turn = [&](const Row& row) {  // counter-clockwise from the half-edge at the cut
    if (row.kind == Kind::kBefore) return cut.sideways ? -1 : 1;
    if (row.kind == Kind::kAfter) return cut.sideways ? 1 : -1;
    return 0;
  };
  if (a.half_edge == b.half_edge) return turn(a) < turn(b) ? 1 : -1;
  return pieces_[std::size_t(part(a) == 1 ? node.left : node.right)].S.at(a.place, b.place);
}

Skew<double> Halves::matrix(const Cut& cut, const Dissection::Node& node,
                            const std::vector<double>& h) const {
  const auto pairs = 2 * cut.half_edges.size();
  const auto factor = [&](std::size_t i) {
    if (i >= cut.glued || i % 2 != 0) return 1.0;
    const auto& row = cut.rows[i];
    if (i < pairs) return weights_[std::size_t(row.half_edge / 2)].q;
    return h[std::size_t(row.kind == Kind::kOutside ? row.half_edge ^ 1 : row.half_edge)];
  };
  Skew<double> Q(cut.rows.size());
  for (std::size_t i = 0; i < cut.rows.size(); ++i) {
    const auto scale = factor(i);
    for (auto j = i + 1; j < cut.rows.size(); ++j)
      Q.row(i)[j] = scale * factor(j) * action(cut, node, cut.rows[i], cut.rows[j]);
  }
  for (std::size_t i = 0; i < cut.glued; i += 2)
    Q.row(i)[i + 1] += i < pairs ? weights_[std::size_t(cut.rows[i].half_edge / 2)].p : 1;
  return Q;
}

void Halves::draw(const Choice& choose, std::vector<int>& s) const {
  Draw draw{choose, s, std::vector<char>(s.size(), 0),
            std::vector<double>(2 * graph_.bonds.size(), 0)};
  for (const auto y : pieces_.back().open)
    draw.h[std::size_t(y)] = weights_[std::size_t(y / 2)].q * s[std::size_t(vertex(y ^ 1))];
  for (auto n = dissection_.nodes.size(); n-- > 0;)
    if (dissection_.nodes[n].left >= 0)
      draw_cut(n, draw);
    else
      draw_spin(n, draw);
}

void Halves::draw_cut(std::size_t n, Draw& draw) const {
  const auto& cut = cuts_[n];
  auto Q = matrix(cut, dissection_.nodes[n], draw.h);
  eliminate(Q, cut.glued);
  auto S = Q.tail(cut.glued);
  const auto sign = cut.sideways ? 1.0 : -1.0;  // of S between copies that face each other
  int before = 1;
  for (std::size_t k = 0; k < cut.half_edges.size(); ++k) {
    const auto a = cut.half_edges[k];
    auto& spin = draw.s[std::size_t(vertex(a))];
    auto& known = draw.known[std::size_t(vertex(a))];
    if (!known) spin = draw.choose(0.5 * (1 + sign * S.row(2 * k)[2 * k + 1])) ? before : -before;
    known = 1;
    pin(S, 2 * k, before * spin, sign);
    before = spin;
    draw.h[std::size_t(a)] = spin;
    draw.h[std::size_t(a ^ 1)] = weights_[std::size_t(a / 2)].q * spin;
  }
}

void Halves::draw_spin(std::size_t n, Draw& draw) const {
  const auto i = std::size_t(dissection_.order[std::size_t(dissection_.nodes[n].begin)]);
  if (draw.known[i]) return;
  double up = 1, down = 1;
  for (const auto y : pieces_[n].open) {
    up *= 1 + draw.h[std::size_t(y)];
    down *= 1 - draw.h[std::size_t(y)];
  }
  draw.s[i] = draw.choose(up / (up + down)) ? 1 : -1;
}

}  // namespace marginalia::planar
