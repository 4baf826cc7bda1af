#pragma once

#include <vector>

#include "links.h"

namespace marginalia::planar {

/// Exact samples of a rectangle of spins whose surroundings are known, or are not there.
///
/// A rectangle of the dissection is two halves and everything outside, which is known and so one
/// more spin, g. Glued together they give the law of the spins of the first half along the cut:
/// each is drawn from the one before, the first from g, as along links; then each half is a
/// rectangle whose surroundings are known. O(n^1.5) a sample; the upward pass is done once.
class Halves {
 public:
  /// graph: outlives this; on `vertices` a lattice of positions one apart, every bond there.
  Halves(const Graph& graph, std::vector<Weight<double>> weights, std::vector<int> vertices);

  /// Fills s [n] at the vertices; their neighbours outside are known.
  void draw(const Choice& choose, std::vector<int>& s) const;

 private:
  /// What a row of the matrix of a cut stands for: a half-edge of the first or the second half, or
  /// beyond the rim; a copy of one of the first half, before it or after it along the cut; g.
  enum class Kind { kFirst, kSecond, kOutside, kBefore, kAfter, kGhost };
  struct Row {
    Kind kind;
    int half_edge;
    std::size_t place = 0;  // in its half
    int side = 0;           // beyond the rim: of the rectangle, counter-clockwise from below
    double along = 0;       // and where there
  };
  struct Cut {
    std::vector<int> half_edges;  // of the first half, along the cut
    std::vector<Row> rows;  // pairs across the cut, pairs across the rim, then those left open
    std::size_t glued = 0;
    bool sideways = false;  // the halves lie side by side
  };
  Cut find_cut(const Dissection::Node& node) const;
  void add_open_rows(Cut& cut, std::size_t axis) const;
  Row beyond(int half_edge) const;
  int vertex(int half_edge) const;
  double action(const Cut& cut, const Dissection::Node& node, const Row& a, const Row& b) const;
  Skew<double> matrix(const Cut& cut, const Dissection::Node& node,
                      const std::vector<double>& h) const;
  /// A sample while it is drawn.
  struct Draw {
    const Choice& choose;
    std::vector<int>& s;
    std::vector<char> known;  // [n]
    /// What acts on each half-edge of a rim: tanh of the field of the known spin beyond, or the
    /// known spin of the rim itself.
    std::vector<double> h;
  };
  void draw_cut(std::size_t node, Draw& draw) const;
  void draw_spin(std::size_t node, Draw& draw) const;

  const Graph& graph_;
  std::vector<Weight<double>> weights_;
  Dissection dissection_;
  std::vector<Piece<double>> pieces_;
  std::vector<Cut> cuts_;
};

}  // namespace marginalia::planar
