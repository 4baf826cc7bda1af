#include <RDGeneral/RDConfig.h>  // first: layouts of queries depend on it

#include "stereo.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include <GraphMol/Chirality.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/PeriodicTable.h>
#include <GraphMol/QueryOps.h>
#include <GraphMol/RingInfo.h>
#include <RDGeneral/types.h>

#include <marginalia/random.h>

#include "graph.h"

namespace marginalia::molecule_property {

namespace {

using RDKit::Atom;
using RDKit::Bond;
using RDKit::ROMol;

/// Spreads bits, so that sums of such numbers are as good as lists.
std::uint64_t mixed(std::uint64_t x) {
  return marginalia::mixed_bits(x + marginalia::SplitMix64::kStep);
}

/// How often a neighbour counts: twice for each bond, once over a double bond to phosphorus.
std::uint64_t weigh_neighbour(const Bond& bond, const Atom& neighbour) {
  switch (bond.getBondType()) {
    case Bond::DOUBLE: {
      const auto degree = neighbour.getDegree();
      return neighbour.getAtomicNum() == 15 && (degree == 3 || degree == 4) ? 1 : 4;
    }
    case Bond::TRIPLE:
      return 6;
    case Bond::AROMATIC:
      return 3;
    default:
      return 2;
  }
}

/// Element, isotope and number in a reaction, which RDKit tells atoms apart by before all else.
std::uint64_t encode_atom(const Atom& atom) {
  int number = -1;
  atom.getPropIfPresent(RDKit::common_properties::molAtomMapNumber, number);
  return static_cast<std::uint64_t>(number + 1) << 32 |
         static_cast<std::uint64_t>(atom.getAtomicNum()) << 16 | atom.getIsotope();
}

bool has_direction(const Bond& bond) {
  return bond.getBondDir() == Bond::ENDUPRIGHT || bond.getBondDir() == Bond::ENDDOWNRIGHT;
}

/// Equal numbers for atoms that cannot be told apart by their surroundings, refined in rounds from
/// element and isotope on, until all differ around each of some atoms or nothing changes.
class Alikeness {
 public:
  Alikeness(const ROMol& molecule, const std::vector<const Atom*>& centres) : molecule_(molecule) {
    std::vector<std::uint64_t> codes;
    for (const auto* atom : molecule.atoms())
      codes.push_back(mixed(encode_atom(*atom)));
    const auto n = codes.size();
    std::size_t before = 0, count = number(codes);
    for (std::size_t round = 0; count < n && round < n / 2 + 1 && before < count; ++round) {
      if (std::ranges::all_of(centres, [this](const auto* a) { return all_differ_around(*a); }))
        break;
      before = count;
      count = number(refined());
    }
  }

  unsigned of(unsigned atom) const { return class_[atom]; }
  bool is_alone(unsigned atom) const { return std::ranges::count(class_, class_[atom]) == 1; }
  bool all_differ_around(const Atom& atom) const {
    std::array<unsigned, 4> around;  // a centre has no more
    std::size_t count = 0;
    for (const auto* bond : molecule_.atomBonds(&atom)) {
      const auto next = of(bond->getOtherAtomIdx(atom.getIdx()));
      if (std::find(around.begin(), around.begin() + count, next) != around.begin() + count)
        return false;
      around[count++] = next;
    }
    return true;
  }

 private:
  std::vector<std::uint64_t> refined() const {
    std::vector<std::uint64_t> codes;
    for (const auto* atom : molecule_.atoms())
      codes.push_back(mixed(std::uint64_t{class_[atom->getIdx()]} << 8 | atom->getTotalNumHs()));
    for (const auto* bond : molecule_.bonds()) {
      const auto a = bond->getBeginAtomIdx(), b = bond->getEndAtomIdx();
      codes[a] += weigh_neighbour(*bond, *bond->getEndAtom()) * mixed(~std::uint64_t{class_[b]});
      codes[b] += weigh_neighbour(*bond, *bond->getBeginAtom()) * mixed(~std::uint64_t{class_[a]});
    }
    return codes;
  }

  /// Numbers the classes of equal codes from 0. -> how many there are.
  std::size_t number(const std::vector<std::uint64_t>& codes) {
    auto sorted = codes;
    std::ranges::sort(sorted);
    sorted.erase(std::ranges::unique(sorted).begin(), sorted.end());
    class_.resize(codes.size());
    for (std::size_t i = 0; i < codes.size(); ++i)
      class_[i] =
          static_cast<unsigned>(std::ranges::lower_bound(sorted, codes[i]) - sorted.begin());
    return sorted.size();
  }

  const ROMol& molecule_;
  std::vector<unsigned> class_;
};

/// Stereo centres with as few as one neighbour beside hydrogens.
bool is_phosphine(const Atom& atom) {
  return atom.getAtomicNum() == 15 || atom.getAtomicNum() == 33;
}

/// The valence by bonds and by hydrogens that are written. RDKit's releases from 2024.09 on ask for
/// it by another name.
template <class AnyAtom>
int explicit_valence(const AnyAtom& atom) {
  if constexpr (requires { AnyAtom::ValenceType::EXPLICIT; })
    return static_cast<int>(atom.getValence(AnyAtom::ValenceType::EXPLICIT));
  else
    return atom.getExplicitValence();
}

/// Nitrogen with three neighbours in a ring of three or at a bridgehead. In releases after 2022.09
/// its hybridisation and conjugated bonds matter too.
bool is_rigid_nitrogen(const ROMol& molecule, const Atom& atom) {
  return atom.getAtomicNum() == 7 && atom.getDegree() == 3 && atom.getTotalNumHs() == 0 &&
         (molecule.getRingInfo()->isAtomInRingOfSize(atom.getIdx(), 3) ||
          RDKit::queryIsAtomBridgehead(&atom));
}

/// Whether there is something that RDKit's releases judge differently, or the code here does not
/// know: hydrogens that are atoms, rigid nitrogens, bonds that are not plain, another perception.
bool is_counted_by_rdkit(const ROMol& molecule) {
  if (!RDKit::Chirality::getUseLegacyStereoPerception() || !has_plain_bonds(molecule)) return true;
  for (const auto* atom : molecule.atoms())
    if (atom->getAtomicNum() == 1 || is_rigid_nitrogen(molecule, *atom)) return true;
  return false;
}

/// Whether an atom has the shape of a stereo centre, whatever its neighbours are; rigid nitrogens
/// aside.
bool is_eligible(const Atom& atom) {
  const auto degree = atom.getDegree(), hydrogens = atom.getTotalNumHs();
  const int element = atom.getAtomicNum();
  if (degree + hydrogens > 4 || degree + hydrogens < 3) return false;
  if (degree < 3) return is_phosphine(atom);
  if (degree == 4 || hydrogens == 1) return true;
  if (element == 16 || element == 34)
    return explicit_valence(atom) == 4 ||
           (explicit_valence(atom) == 3 && atom.getFormalCharge() == 1);
  return is_phosphine(atom);
}

/// Whether two neighbours are ends of the molecule that nothing tells apart, as in CF3.
bool has_equal_ends(const ROMol& molecule, const Atom& atom) {
  const Bond* ends[4];
  std::size_t count = 0;
  for (const auto* bond : molecule.atomBonds(&atom)) {
    const auto& end = *bond->getOtherAtom(&atom);
    if (end.getDegree() > 1 || is_phosphine(end)) continue;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& other = *ends[i]->getOtherAtom(&atom);
      if (ends[i]->getBondType() == bond->getBondType() && encode_atom(other) == encode_atom(end) &&
          other.getTotalNumHs() == end.getTotalNumHs())
        return true;
    }
    ends[count++] = bond;
  }
  return false;
}

/// Whether stereo marks of the SMILES could tell apart atoms that are alike without them.
bool stereo_may_matter(const ROMol& molecule, const Alikeness& alike) {
  for (const auto* atom : molecule.atoms())
    if (atom->getChiralTag() != Atom::CHI_UNSPECIFIED && !alike.is_alone(atom->getIdx()))
      return true;
  for (const auto* bond : molecule.bonds())
    if (has_direction(*bond) &&
        !(alike.is_alone(bond->getBeginAtomIdx()) && alike.is_alone(bond->getEndAtomIdx())))
      return true;
  return false;
}

int count_by_rdkit(const ROMol& molecule) {
  ROMol copy(molecule);
  RDKit::MolOps::setConjugation(copy);  // which reading a molecule leaves out
  RDKit::MolOps::setHybridization(copy);
  RDKit::MolOps::assignStereochemistry(copy, true, true, true);
  int count = 0;
  for (const auto* atom : copy.atoms())
    count += atom->hasProp(RDKit::common_properties::_CIPCode) ||
             atom->hasProp(RDKit::common_properties::_ChiralityPossible);
  return count;
}

}  // namespace

int count_stereo_centres(const ROMol& molecule) {
  if (is_counted_by_rdkit(molecule)) return count_by_rdkit(molecule);
  std::vector<const Atom*> centres;
  for (const auto* atom : molecule.atoms())
    if (is_eligible(*atom) && !has_equal_ends(molecule, *atom)) centres.push_back(atom);
  if (centres.empty()) return 0;
  const Alikeness alike(molecule, centres);
  const auto count = std::ranges::count_if(
      centres, [&](const auto* atom) { return alike.all_differ_around(*atom); });
  const bool depends = static_cast<std::size_t>(count) < centres.size();
  return depends && stereo_may_matter(molecule, alike) ? count_by_rdkit(molecule)
                                                       : static_cast<int>(count);
}

}  // namespace marginalia::molecule_property
