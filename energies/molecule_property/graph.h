/// \file
/// A molecule of RDKit's as a graph that patterns are looked for in.
#pragma once

#include <RDGeneral/RDConfig.h>  // first: layouts of queries depend on it

#include <bitset>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <GraphMol/GraphMol.h>

namespace marginalia::molecule_property {

/// What tells atoms apart at first glance: the element, and whether it is aromatic.
inline constexpr int kElements = 128, kClasses = 2 * kElements;
using Classes = std::bitset<kClasses>;

inline int classify(const RDKit::Atom& atom) {
  return atom.getAtomicNum() % kElements + (atom.getIsAromatic() ? kElements : 0);
}

/// Whether all bonds are single, double, triple or aromatic. Releases of RDKit differ on the rest,
/// as on whether a dative bond closes a ring.
bool has_plain_bonds(const RDKit::ROMol& molecule);

/// An atom that stands for every hydrogen that a SMILES leaves out, and its bond.
class Hydrogen {
 public:
  Hydrogen();
  const RDKit::Atom& atom() const;
  const RDKit::Bond& bond() const;

 private:
  std::unique_ptr<RDKit::ROMol> methane_;
};

struct Neighbour {
  int node;
  const RDKit::Bond* bond;
};

/// The atoms of a molecule by their index, and after them hydrogens where these are asked for: of
/// each atom that has some left out, one or two, for what holds of one holds of all.
class Graph {
 public:
  explicit Graph(const RDKit::ROMol& molecule, const Hydrogen* hydrogen = nullptr);

  int size() const { return static_cast<int>(atoms_.size()); }
  const RDKit::Atom& atom(int node) const { return *atoms_[at(node)]; }
  int class_at(int node) const { return classes_[at(node)]; }
  const Classes& classes() const { return present_; }
  std::span<const Neighbour> neighbours(int node) const {
    return {neighbours_.data() + first_[at(node)], neighbours_.data() + first_[at(node) + 1]};
  }
  /// A hydrogen of an atom that has one which its SMILES leaves out.
  int hydrogen_at(int atom) const { return hydrogens_[at(atom)]; }
  /// The bond between two nodes, or null.
  const RDKit::Bond* bond_between(int a, int b) const;

 private:
  static std::size_t at(int node) { return static_cast<std::size_t>(node); }

  std::vector<const RDKit::Atom*> atoms_;
  std::vector<int> classes_, hydrogens_;
  std::vector<std::size_t> first_;  // of each node's neighbours; one more at the end
  std::vector<Neighbour> neighbours_;
  Classes present_;
};

}  // namespace marginalia::molecule_property
