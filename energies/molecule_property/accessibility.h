/// \file
/// The SA score: how hard a molecule is to make, from 1, easy, to 10.
/// Source: Ertl and Schuffenhauer (2009), J. Cheminform. 1, 8, as in RDKit's Contrib/SA_Score.
#pragma once

#include <GraphMol/ROMol.h>

#include "fragment_table.h"

namespace marginalia::molecule_property {

/// The same number as chemistry::Molecule::synthetic_accessibility.
double synthetic_accessibility(const RDKit::ROMol& molecule, const FragmentTable& scores);

}  // namespace marginalia::molecule_property
