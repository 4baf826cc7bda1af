#pragma once

#include <marginalia/inference/planar.h>
#include <marginalia/params.h>

#include "graph_file.h"
#include "lattice.h"

namespace marginalia::ising {

/// Planar answers about a chain or a two-dimensional lattice, in the plane, on a cylinder or on a
/// torus; none about one of more axes.
marginalia::ByPlanar planar_answers(const Lattice& lattice);

}  // namespace marginalia::ising

namespace marginalia::graphs {

/// Declares "positions" of a graph.
void visit_positions(marginalia::ParamVisitor& p, marginalia::FilePath& positions);

/// Planar answers about a graph drawn with straight edges at the positions of a file, "x y" a line
/// for each vertex in their order; none where there is no such file.
marginalia::ByPlanar planar_answers(const marginalia::FilePath& positions, const Graph& graph);

}  // namespace marginalia::graphs
