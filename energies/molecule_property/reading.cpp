#include "reading.h"

#include <algorithm>
#include <array>
#include <vector>

#include <GraphMol/MolOps.h>
#include <GraphMol/SmilesParse/SmilesParse.h>

#include "graph.h"
#include "rings.h"
#include "shared/chemistry/chemistry.h"

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

/// What MolOps::sanitizeMol does as far as properties need it, where there is no metal.
void sanitise(RDKit::RWMol& molecule) {
  RDKit::MolOps::cleanUp(molecule);
  molecule.updatePropertyCache(true);
  find_rings(molecule);
  RDKit::MolOps::Kekulize(molecule);
  RDKit::MolOps::assignRadicals(molecule);
  RDKit::MolOps::setAromaticity(molecule);
}

/// Hydrogens that are atoms, metals and dative bonds: what becomes of them differs between RDKit's
/// releases.
bool is_read_by_rdkit(const RDKit::ROMol& molecule) {
  constexpr std::array kNonMetals{5, 6, 7, 8, 9, 14, 15, 16, 17, 33, 34, 35, 52, 53};
  for (const auto* atom : molecule.atoms())
    if (!std::ranges::binary_search(kNonMetals, atom->getAtomicNum())) return true;
  return !has_plain_bonds(molecule);
}

std::vector<const RDKit::Atom*> aromatic_atoms(const RDKit::ROMol& molecule) {
  std::vector<const RDKit::Atom*> aromatic;
  for (const auto* atom : molecule.atoms())
    if (atom->getIsAromatic()) aromatic.push_back(atom);
  return aromatic;
}

}  // namespace

Molecule read_molecule(const std::string& smiles) try {
  auto molecule = parse(smiles, false);
  if (is_read_by_rdkit(*molecule)) return parse(smiles, true);
  const auto written = aromatic_atoms(*molecule);
  sanitise(*molecule);
  // Atoms that are written aromatic and are not have other hydrogens.
  if (!std::ranges::all_of(written, &RDKit::Atom::getIsAromatic)) return parse(smiles, true);
  return molecule;
} catch (const chemistry::Unreadable&) {
  throw;
} catch (const std::exception& e) {
  throw chemistry::Unreadable(e.what());
}

}  // namespace marginalia::molecule_property
