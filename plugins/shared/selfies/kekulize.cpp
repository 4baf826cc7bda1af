/// \file
/// Aromatic bonds to single and double ones.
///
/// Which atoms still need a double bond follows from their valences; these are matched in pairs.
/// Source: Apodaca (2020), "A comprehensive treatment of aromaticity in the SMILES language",
/// depth-first.com.
#include <algorithm>
#include <array>
#include <cmath>

#include "matching.h"
#include "molecule.h"

namespace marginalia::selfies {

namespace {

/// What an element that can be aromatic binds, and its electrons for that.
struct Valence {
  int low, high;  ///< the same where there is but one
  int electrons;
};

Valence find_valence(std::string_view element) {
  if (element == "B" || element == "Al") return {3, 3, 3};
  if (element == "C" || element == "Si") return {4, 4, 4};
  if (element == "N" || element == "P" || element == "As") return {3, 5, 5};
  return {2, 4, 6};  // O, S, Se, Te
}

/// Whether an atom of the aromatic system takes part in one of its double bonds.
bool needs_double_bond(const Molecule& molecule, int index) {
  const auto& atom = molecule.atoms[index];
  const auto& neighbours = molecule.aromatic[index];
  if (neighbours.empty()) return false;
  const auto valence = find_valence(atom.element);
  const double sum = molecule.order_sum[index];
  int used = static_cast<int>(sum - 0.5 * static_cast<double>(neighbours.size()));
  if (atom.hydrogens == kImplicit) return used != valence.low && used != valence.high;

  used += atom.hydrogens;
  if (used == valence.low - atom.charge || used == valence.high - atom.charge) return false;
  const int bound = std::max(0, atom.charge) + atom.hydrogens + static_cast<int>(std::ceil(sum));
  const int radical = std::max(0, valence.electrons - bound) % 2;
  const int free = valence.high - atom.charge - used - radical;
  return free >= 0 && free % 2 != 0;
}

void check_elements(const Molecule& molecule) {
  for (int i = 0; i < molecule.size(); ++i) {
    const auto& atom = molecule.atoms[i];
    if (!molecule.aromatic[i].empty() && !can_be_aromatic(atom.element))
      throw Malformed(atom.position, std::string(atom.element) +
                                         " cannot have an aromatic bond; those that can "
                                         "are B Al C Si N P As O S Se Te");
  }
}

/// The atoms that need a double bond, and which of them are neighbours.
struct System {
  std::vector<int> atoms;
  Graph graph;
};

System find_system(const Molecule& molecule) {
  System system;
  std::vector<int> label(molecule.atoms.size(), -1);
  for (int i = 0; i < molecule.size(); ++i) {
    if (!needs_double_bond(molecule, i)) continue;
    label[i] = static_cast<int>(system.atoms.size());
    system.atoms.push_back(i);
  }
  for (const int i : system.atoms) {
    auto& neighbours = system.graph.emplace_back();
    for (const int j : molecule.aromatic[i])
      if (label[j] >= 0) neighbours.push_back(label[j]);
  }
  return system;
}

void make_single(Molecule& molecule) {
  for (int i = 0; i < molecule.size(); ++i) {
    for (const int j : molecule.aromatic[i])
      if (i < j) molecule.set_order(i, j, 1);
    molecule.atoms[i].aromatic = false;
  }
}

}  // namespace

void kekulize(Molecule& molecule) {
  const auto aromatic = [&](int i) {
    return molecule.atoms[i].aromatic || !molecule.aromatic[i].empty();
  };
  int first = 0;
  while (first < molecule.size() && !aromatic(first))
    ++first;
  if (first == molecule.size()) return;

  check_elements(molecule);
  const auto system = find_system(molecule);
  const auto mates = match(system.graph);
  const auto alone = std::ranges::find(mates, -1);
  if (alone != mates.end()) {
    const auto& atom = molecule.atoms[system.atoms[alone - mates.begin()]];
    throw Malformed(atom.position, "the aromatic bonds cannot be made single and double: no "
                                   "neighbour is left for " +
                                       std::string(atom.element) +
                                       " to share a double bond with; is a hydrogen missing, as "
                                       "in [nH]?");
  }
  make_single(molecule);
  for (std::size_t i = 0; i < mates.size(); ++i)
    if (static_cast<std::size_t>(mates[i]) > i)
      molecule.set_order(system.atoms[i], system.atoms[mates[i]], 2);
  for (auto& neighbours : molecule.aromatic)
    neighbours.clear();
}

}  // namespace marginalia::selfies
