/// \file
/// How many atoms of a molecule are stereo centres, or would be if its SMILES said which way round.
#pragma once

#include <GraphMol/ROMol.h>

namespace marginalia::molecule_property {

/// An atom is one where its neighbours are all different, as far as the CIP rules of RDKit (legacy
/// code) tell them apart. The same number as by assignStereochemistry of the RDKit that is
/// installed, which is asked itself where centres may depend on others or its releases differ.
int count_stereo_centres(const RDKit::ROMol& molecule);

}  // namespace marginalia::molecule_property
