/// \file
/// logP, the octanol-water partition coefficient, as a sum over types of atoms.
/// Source: Wildman and Crippen (1999), J. Chem. Inf. Comput. Sci. 39, 868; RDKit's parameters.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "graph.h"
#include "pattern.h"

namespace marginalia::molecule_property {

/// An atom's type is the first whose pattern it begins; the same numbers as RDKit's calcClogP.
class Crippen {
 public:
  Crippen();
  double log_p(const RDKit::ROMol& molecule) const;

 private:
  struct Type {
    Pattern pattern;
    double log_p;
  };
  double contribution(const Graph& graph, int node) const;

  Hydrogen hydrogen_;
  std::vector<Type> types_;
  std::array<std::vector<std::size_t>, kClasses> candidates_;  // types that a class can be of
};

}  // namespace marginalia::molecule_property
