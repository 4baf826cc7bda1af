#include "drug_likeness.h"

#include <span>

#include <GraphMol/Descriptors/MolDescriptors.h>
#include <GraphMol/Descriptors/MolSurf.h>
#include <GraphMol/MolOps.h>

namespace marginalia::molecule_property {

namespace {

// As RDKit counts them: calcNumHBD, and calcNumRotatableBonds with the strict definition.
constexpr const char* kDonors = "[N&!H0&v3,N&!H0&+1&v4,O&H1&+0,S&H1&+0,n&H1&+0]";
constexpr const char* kRotatableBonds =
    "[!$(*#*)&!D1&!$(C(F)(F)F)&!$(C(Cl)(Cl)Cl)&!$(C(Br)(Br)Br)&!$(C([CH3])([CH3])[CH3])"
    "&!$([CD3](=[N,O,S])-!@[#7,O,S!D1])&!$([#7,O,S!D1]-!@[CD3]=[N,O,S])"
    "&!$([CD3](=[N+])-!@[#7!D1])&!$([#7!D1]-!@[CD3]=[N+])]-,:;!@[!$(*#*)&!D1&!$(C(F)(F)F)"
    "&!$(C(Cl)(Cl)Cl)&!$(C(Br)(Br)Br)&!$(C([CH3])([CH3])[CH3])]";

std::vector<Pattern> parse_patterns(std::span<const char* const> smarts) {
  return {smarts.begin(), smarts.end()};
}

int count_aromatic_rings_by_rdkit(RDKit::RWMol molecule, const Graph& graph,
                                  const Pattern& aliphatic) {
  for (int node = graph.size(); node-- > 0;)
    if (aliphatic.is_at(graph, node)) molecule.removeAtom(static_cast<unsigned>(node));
  RDKit::VECT_INT_VECT rings;
  return RDKit::MolOps::findSSSR(molecule, rings);
}

/// Rings that are left when atoms of rings that are not all aromatic are taken away: bonds less
/// atoms plus parts.
int count_aromatic_rings(const RDKit::ROMol& molecule, const Graph& graph,
                         const Pattern& aliphatic) {
  if (!has_plain_bonds(molecule)) return count_aromatic_rings_by_rdkit(molecule, graph, aliphatic);
  std::vector<int> part(static_cast<std::size_t>(graph.size()));  // an atom of the same part, or -1
  const auto root = [&](int node) {
    while (part[static_cast<std::size_t>(node)] != node)
      node = part[static_cast<std::size_t>(node)];
    return node;
  };
  for (int node = 0; node < graph.size(); ++node)
    part[static_cast<std::size_t>(node)] = aliphatic.is_at(graph, node) ? -1 : node;
  int rings = 0;
  for (const auto* bond : molecule.bonds()) {
    const auto a = bond->getBeginAtomIdx(), b = bond->getEndAtomIdx();
    if (part[a] < 0 || part[b] < 0) continue;
    const int from = root(static_cast<int>(a)), to = root(static_cast<int>(b));
    rings += from == to;  // else it joins two parts
    part[static_cast<std::size_t>(from)] = to;
  }
  return rings;
}

}  // namespace

DrugLikeness::DrugLikeness()
    : acceptors_(parse_patterns(chemistry::acceptor_patterns())),
      alerts_(parse_patterns(chemistry::alert_patterns())),
      aliphatic_("[A;R][!a]"),
      donors_(kDonors),
      rotatable_bonds_(kRotatableBonds) {}

chemistry::QedProperties DrugLikeness::of(const RDKit::ROMol& molecule, double log_p) const {
  const Graph graph(molecule);
  chemistry::QedProperties p;
  p.log_p = log_p;
  p.weight = RDKit::Descriptors::calcAMW(molecule);
  for (const auto& pattern : acceptors_)
    p.acceptors += pattern.count_in(graph);
  p.donors = donors_.count_in(graph);
  p.polar_surface = RDKit::Descriptors::calcTPSA(molecule);
  p.rotatable_bonds = rotatable_bonds_.count_in(graph);
  p.aromatic_rings = count_aromatic_rings(molecule, graph, aliphatic_);
  for (const auto& pattern : alerts_)
    p.alerts += pattern.is_in(graph);
  return p;
}

}  // namespace marginalia::molecule_property
