/// \file
/// Rings of a molecule: a smallest set of smallest rings, and those that could replace one of them.
#pragma once

#include <GraphMol/RWMol.h>

namespace marginalia::molecule_property {

/// Gives the molecule the rings that MolOps::symmetrizeSSSR would. Rings by themselves and pairs
/// with bonds in common are found on one walk; where more than two belong together, or there is a
/// choice, RDKit finds all.
void find_rings(RDKit::RWMol& molecule);

}  // namespace marginalia::molecule_property
