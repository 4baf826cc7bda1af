/// \file
/// A molecule as SMILES and SELFIES see it: atoms in the order of the string, and at each the bonds
/// that the string writes there, in that order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "selfies.h"

namespace marginalia::selfies {

inline constexpr double kAromaticOrder = 1.5;  // exact in binary
inline constexpr int kImplicit = -1;           // hydrogens that the string leaves open
inline constexpr std::int64_t kNoIsotope = -1;

struct Atom {
  std::string_view element;  ///< of the table of elements
  bool aromatic = false;
  std::int64_t isotope = kNoIsotope;
  int chirality = 0;  ///< how many @
  int hydrogens = kImplicit;
  int charge = 0;
  std::size_t position = 0;  ///< in the string, from 1
};

/// A bond as its first atom writes it. A ring closure is written by both its atoms.
struct Bond {
  int to = 0;
  double order = 1;
  char stereo = 0;  ///< '/' or '\\', or 0
  bool ring = false;
};

struct Molecule {
  std::vector<Atom> atoms;
  std::vector<std::vector<Bond>> bonds;    ///< at each atom, in the order of the string
  std::vector<double> order_sum;           ///< of each atom's bonds
  std::vector<std::vector<int>> aromatic;  ///< neighbours over bonds of order 1.5
  std::vector<int> roots;                  ///< first atoms of the parts between dots

  int size() const { return static_cast<int>(atoms.size()); }
  int add_atom(const Atom& atom, bool root);
  /// The bond that leads from an atom to a later one.
  void add_bond(int from, int to, double order, char stereo);
  /// Keeps the next place among the bonds of `atom` for a ring closure. -> that place.
  int reserve_ring(int atom);
  /// Fills the place that reserve_ring kept at `a`, and appends the closure to the bonds of `b`.
  void close_ring(int a, int place, char a_stereo, int b, char b_stereo, double order);
  /// Inserts both ends of a ring closure at these places.
  void insert_ring(int a, int a_place, char a_stereo, int b, int b_place, char b_stereo,
                   double order);
  /// The bond between two atoms, at the one that comes first; or null.
  const Bond* bond_between(int a, int b) const;
  void set_order(int a, int b, double order);

 private:
  void count(int a, int b, double order);
};

/// "C" and the like: the elements that SMILES writes without brackets.
bool is_organic(std::string_view element);
/// The table's entry of that name; empty where there is none.
std::string_view element_named(std::string_view name);
/// Whether an element can be aromatic in SMILES.
bool can_be_aromatic(std::string_view element);

/// What is left for bonds to other atoms.
int free_bonds(const Atom& atom, const Constraints& constraints);
/// Says of an atom with fewer than none of them what is wrong: "has 5 hydrogens, too many ...".
std::string hydrogen_fault(const Atom& atom, const Constraints& constraints);
/// The atom in SMILES; in SELFIES, without the brackets.
std::string to_text(const Atom& atom, bool brackets);
/// "", "/", "\\", "=" or "#".
std::string_view to_text(const Bond& bond);

/// Turns aromatic bonds into single and double ones. Throws Malformed where that cannot be done.
void kekulize(Molecule& molecule);

Molecule read_smiles(std::string_view smiles);
/// What stands between the brackets of an atom in SMILES; nothing where it is no atom.
std::optional<Atom> read_bracket_atom(std::string_view inside);
std::string write_smiles(const Molecule& molecule);

}  // namespace marginalia::selfies
