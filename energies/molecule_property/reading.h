/// \file
/// SMILES to a molecule of RDKit's, with no more work than its properties need.
#pragma once

#include <memory>
#include <string>

#include <GraphMol/RWMol.h>

namespace marginalia::molecule_property {

/// The molecule with valences, rings, aromaticity and hydrogens as SmilesToMol has them, but
/// without conjugation, hybridisation and CIP labels. Throws chemistry::Unreadable where RDKit
/// refuses it or it has no atoms.
std::unique_ptr<RDKit::RWMol> read_molecule(const std::string& smiles);

}  // namespace marginalia::molecule_property
