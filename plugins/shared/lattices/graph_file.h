#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <marginalia/params.h>

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
};

/// Reads "n m" and m lines "i j w" or "i j" (Gset, BiqMac), or "p edge n m" and m lines "e i j"
/// (DIMACS); vertices count from 1, a weight not given is 1. Plain, gzipped or zipped, with or
/// without the ending .gz or .zip. Throws SpecError with the line that is wrong.
Graph read_graph(const std::filesystem::path& file);

/// The parameters by which an energy is given its graph.
struct GraphParams {
  marginalia::FilePath file;
  std::vector<std::string> edges;
  std::int64_t vertices = 0;
  double memory = 8;

  void visit(marginalia::ParamVisitor& p);
  Graph graph() const;  ///< throws SpecError where they name none
};

}  // namespace marginalia::graphs
