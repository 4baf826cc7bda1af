#include "reading.h"

#include <GraphMol/MolOps.h>
#include <GraphMol/SmilesParse/SmilesParse.h>

#include "chemistry.h"
#include "rings.h"

namespace marginalia::molecule_property {

namespace {

using Molecule = std::unique_ptr<RDKit::RWMol>;

Molecule parse(const std::string& smiles, bool sanitise) {
  RDKit::SmilesParserParams params;
  params.sanitize = params.removeHs = sanitise;
  Molecule molecule(RDKit::SmilesToMol(smiles, params));
  if (!molecule) throw chemistry::Unreadable("RDKit: this is no SMILES");
  if (molecule->getNumAtoms() == 0) throw chemistry::Unreadable("there is no atom in it");
  return molecule;
}

/// What MolOps::sanitizeMol does as far as properties need it.
void sanitise(RDKit::RWMol& molecule) {
  RDKit::MolOps::cleanUp(molecule);
  molecule.updatePropertyCache(true);
  find_rings(molecule);
  RDKit::MolOps::Kekulize(molecule);
  RDKit::MolOps::assignRadicals(molecule);
  RDKit::MolOps::setAromaticity(molecule);
}

bool has_hydrogen_atoms(const RDKit::ROMol& molecule) {
  for (const auto* atom : molecule.atoms())
    if (atom->getAtomicNum() == 1) return true;
  return false;
}

}  // namespace

Molecule read_molecule(const std::string& smiles) try {
  auto molecule = parse(smiles, false);
  if (has_hydrogen_atoms(*molecule)) return parse(smiles, true);
  sanitise(*molecule);
  return molecule;
} catch (const chemistry::Unreadable&) {
  throw;
} catch (const std::exception& e) {
  throw chemistry::Unreadable(e.what());
}

}  // namespace marginalia::molecule_property
