#pragma once

#include <vector>

#include "graph.h"

namespace marginalia::planar {

/// Which way a graph is cut: two that differ give two independent roundings of one answer.
enum class Cuts { kAcross, kAlong, kUneven };

/// Nested dissection: a binary tree of vertices, halved along the longer side of their box.
struct Dissection {
  struct Node {
    int begin, end;             ///< of `order`
    int left = -1, right = -1;  ///< nodes; -1: a single vertex
    int axis = 0;               ///< along which it is cut
  };
  std::vector<int> order;   ///< vertices
  std::vector<Node> nodes;  ///< children before their parent; the root is the last
};

/// vertices: not empty.
Dissection dissect(const Graph& graph, std::vector<int> vertices, Cuts cuts = Cuts::kAcross);

}  // namespace marginalia::planar
