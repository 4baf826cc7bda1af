#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <marginalia/params.h>
#include <marginalia/text_file.h>

namespace marginalia::graphs {

/// An edge of two vertices, counted from 0.
struct Edge {
  std::int64_t i, j;  // i < j
  double weight;
};

/// A graph without loops; no two edges join the same vertices.
struct Graph {
  std::int64_t vertices = 0;
  std::vector<Edge> edges;
  std::vector<double> weights;  ///< of the vertices, [n]; empty where the file gives none
  std::vector<double> fields;   ///< h of the vertices, [n]; empty where the file gives none
};

/// The forms of graph files, and what tells them:
///
///   gset    "n m", then m lines "i j" or "i j w", vertices from 1 (Gset, BiqMac)
///   dimacs  "p edge n m" or "p sp n m", then "e i j [w]" or "a i j w", and "n i w" for the weight
///   of
///           a vertex; lines d, v and x, and a third number behind n m, are passed over
///   metis   "n m [fmt]", then a line a vertex with its neighbours, weights as fmt says; by default
///           where a name ends in .graph
///   coo     lines "i j w" from the first on, vertices from 0; "i i h" is a field on vertex i
///
/// Lines that begin with c, # or % are comments. An edge may stand once, or from both of its ends
/// with one weight; m counts edges or lines. A weight not given is 1. Throws SpecError with the
/// line that is wrong.
Graph read_graph(const marginalia::TextFile& file, const std::string& format);

/// Declares "format" of a graph file.
void visit_format(marginalia::ParamVisitor& p, std::string& format);

/// Warns where the graph has weights of vertices, refuses it where it has fields: for energies that
/// know none of them.
void ignore_vertices(const Graph& graph, const std::string& file);

/// The parameters by which an energy is given its graph.
struct GraphParams {
  marginalia::FilePath file;
  std::string format = "auto";
  std::vector<std::string> edges;
  std::int64_t vertices = 0;
  double memory = 8;

  void visit(marginalia::ParamVisitor& p);
  Graph graph() const;  ///< throws SpecError where they name none
};

}  // namespace marginalia::graphs
