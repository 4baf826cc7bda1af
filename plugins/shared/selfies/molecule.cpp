#include "molecule.h"

#include <algorithm>
#include <array>

namespace marginalia::selfies {

namespace {

// The elements that the reference implementation knows, sorted; Nh, Mc, Ts and Og are not among
// them.
constexpr std::array<std::string_view, 114> kElements{
    "Ac", "Ag", "Al", "Am", "Ar", "As", "At", "Au", "B",  "Ba", "Be", "Bh", "Bi", "Bk", "Br",
    "C",  "Ca", "Cd", "Ce", "Cf", "Cl", "Cm", "Cn", "Co", "Cr", "Cs", "Cu", "Db", "Ds", "Dy",
    "Er", "Es", "Eu", "F",  "Fe", "Fl", "Fm", "Fr", "Ga", "Gd", "Ge", "H",  "He", "Hf", "Hg",
    "Ho", "Hs", "I",  "In", "Ir", "K",  "Kr", "La", "Li", "Lr", "Lu", "Lv", "Md", "Mg", "Mn",
    "Mo", "Mt", "N",  "Na", "Nb", "Nd", "Ne", "Ni", "No", "Np", "O",  "Os", "P",  "Pa", "Pb",
    "Pd", "Pm", "Po", "Pr", "Pt", "Pu", "Ra", "Rb", "Re", "Rf", "Rg", "Rh", "Rn", "Ru", "S",
    "Sb", "Sc", "Se", "Sg", "Si", "Sm", "Sn", "Sr", "Ta", "Tb", "Tc", "Te", "Th", "Ti", "Tl",
    "Tm", "U",  "V",  "W",  "Xe", "Y",  "Yb", "Zn", "Zr"};

constexpr std::array<std::string_view, 10> kOrganic{"B", "C", "N",  "O",  "S",
                                                    "P", "F", "Cl", "Br", "I"};
constexpr std::array<std::string_view, 11> kAromatic{"B",  "Al", "C", "Si", "N", "P",
                                                     "As", "O",  "S", "Se", "Te"};

Bond* find(std::vector<Bond>& bonds, int to) {
  const auto at = std::ranges::find(bonds, to, &Bond::to);
  return at == bonds.end() ? nullptr : &*at;
}

}  // namespace

int Molecule::add_atom(const Atom& atom, bool root) {
  const int index = size();
  if (root) roots.push_back(index);
  atoms.push_back(atom);
  bonds.emplace_back();
  order_sum.push_back(0);
  aromatic.emplace_back();
  return index;
}

void Molecule::count(int a, int b, double order) {
  order_sum[a] += order;
  order_sum[b] += order;
  if (order != kAromaticOrder) return;
  aromatic[a].push_back(b);
  aromatic[b].push_back(a);
}

void Molecule::add_bond(int from, int to, double order, char stereo) {
  bonds[from].push_back({to, order, stereo, false});
  count(from, to, order);
}

int Molecule::reserve_ring(int atom) {
  bonds[atom].push_back({-1, 0, 0, true});
  return static_cast<int>(bonds[atom].size()) - 1;
}

void Molecule::close_ring(int a, int place, char a_stereo, int b, char b_stereo, double order) {
  bonds[a][place] = {b, order, a_stereo, true};
  bonds[b].push_back({a, order, b_stereo, true});
  count(a, b, order);
}

void Molecule::insert_ring(int a, int a_place, char a_stereo, int b, int b_place, char b_stereo,
                           double order) {
  bonds[a].insert(bonds[a].begin() + a_place, {b, order, a_stereo, true});
  bonds[b].insert(bonds[b].begin() + b_place, {a, order, b_stereo, true});
  count(a, b, order);
}

const Bond* Molecule::bond_between(int a, int b) const {
  const auto& first = bonds[std::min(a, b)];
  const auto at = std::ranges::find(first, std::max(a, b), &Bond::to);
  return at == first.end() ? nullptr : &*at;
}

void Molecule::set_order(int a, int b, double order) {
  if (a > b) std::swap(a, b);
  auto* bond = find(bonds[a], b);
  const double change = order - bond->order;
  bond->order = order;
  if (bond->ring) find(bonds[b], a)->order = order;
  order_sum[a] += change;
  order_sum[b] += change;
}

bool is_organic(std::string_view element) {
  return std::ranges::find(kOrganic, element) != kOrganic.end();
}

std::string_view element_named(std::string_view name) {
  const auto at = std::ranges::lower_bound(kElements, name);
  return at != kElements.end() && *at == name ? *at : std::string_view();
}

bool can_be_aromatic(std::string_view element) {
  return std::ranges::find(kAromatic, element) != kAromatic.end();
}

int free_bonds(const Atom& atom, const Constraints& constraints) {
  return constraints.max_bonds(atom.element, atom.charge) - std::max(atom.hydrogens, 0);
}

std::string hydrogen_fault(const Atom& atom, const Constraints& constraints) {
  return "has " + std::to_string(atom.hydrogens) + " hydrogens, too many for the " +
         std::to_string(constraints.max_bonds(atom.element, atom.charge)) +
         " bonds that the constraints allow it";
}

std::string to_text(const Atom& atom, bool brackets) {
  std::string text;
  if (atom.hydrogens == kImplicit) return text.append(atom.element);
  const bool plain = atom.isotope == kNoIsotope && atom.chirality == 0;
  if (brackets) text += '[';
  if (atom.isotope != kNoIsotope) text += std::to_string(atom.isotope);
  text += atom.element;
  text.append(static_cast<std::size_t>(atom.chirality), '@');
  if (atom.hydrogens != 0)
    text += 'H' + std::to_string(atom.hydrogens);
  else if (plain && atom.charge == 0 && is_organic(atom.element))
    text += "H0";  // else it would read as an atom whose hydrogens are open
  if (atom.charge > 0) text += '+';
  if (atom.charge != 0) text += std::to_string(atom.charge);
  if (brackets) text += ']';
  return text;
}

std::string_view to_text(const Bond& bond) {
  if (bond.order == 2) return "=";
  if (bond.order == 3) return "#";
  return bond.stereo == '/' ? "/" : bond.stereo == '\\' ? "\\" : "";
}

}  // namespace marginalia::selfies
