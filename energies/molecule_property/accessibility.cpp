#include "accessibility.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include <GraphMol/Fingerprints/MorganFingerprints.h>
#include <GraphMol/PeriodicTable.h>
#include <RDGeneral/hash/hash.hpp>

#include "shared/chemistry/accessibility_rdkit.h"
#include "stereo.h"

namespace marginalia::molecule_property {

namespace {

using RDKit::Atom;
using RDKit::ROMol;

constexpr std::uint32_t kRadius = 2;
constexpr std::uint32_t kIdentifiers = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kMaxBonds = 256;

/// What an atom is by itself, as Morgan fingerprints see it.
std::uint32_t compute_identifier(const ROMol& molecule, const Atom& atom) {
  const int element = atom.getAtomicNum();
  const double excess =
      atom.getIsotope() == 0
          ? 0
          : atom.getMass() - RDKit::PeriodicTable::getTable()->getAtomicWeight(element);
  std::uint32_t identifier = 0;
  const auto add = [&](auto part) {
    gboost::hash_combine(identifier, static_cast<std::uint32_t>(part));
  };
  add(element);
  add(atom.getTotalDegree());
  add(atom.getTotalNumHs(true));
  add(atom.getFormalCharge());
  add(static_cast<int>(excess));
  if (molecule.getRingInfo()->numAtomRings(atom.getIdx()) > 0) add(1);
  return identifier;
}

/// Circular fragments of radius 0 to 2 by their identifiers (ECFP4 with counts): around every atom,
/// and of those that consist of the same bonds only the smallest, by radius and identifier. Source:
/// Rogers and Hahn (2010), J. Chem. Inf. Model. 50, 742; the identifiers are those of RDKit
/// from 2022.09 to 2025.03.
class Fragments {
 public:
  explicit Fragments(const ROMol& molecule) : molecule_(molecule), bonds_(molecule.getNumAtoms()) {
    for (const auto* atom : molecule.atoms())
      identifiers_.push_back(compute_identifier(molecule, *atom));
    all_ = identifiers_;
    for (std::uint32_t radius = 0; radius < kRadius; ++radius)
      grow(radius);
    for (const auto& fragment : kept_)
      all_.push_back(fragment.identifier);
    for (auto& identifier : all_)
      identifier %= kIdentifiers;
    std::ranges::sort(all_);
  }
  const std::vector<std::uint32_t>& sorted() const { return all_; }

 private:
  using Bonds = std::bitset<kMaxBonds>;
  struct Fragment {
    Bonds bonds;
    std::uint32_t identifier, radius;
  };

  void grow(std::uint32_t radius) {
    auto identifiers = identifiers_;
    auto bonds = bonds_;
    for (const auto* atom : molecule_.atoms()) {
      const auto i = atom->getIdx();
      if (atom->getDegree() == 0) continue;
      around_.clear();
      for (const auto* bond : molecule_.atomBonds(atom)) {
        const auto other = bond->getOtherAtomIdx(i);
        bonds[i].set(bond->getIdx());
        bonds[i] |= bonds_[other];
        around_.emplace_back(static_cast<std::int32_t>(bond->getBondType()), identifiers_[other]);
      }
      std::ranges::sort(around_);
      auto identifier = radius;
      gboost::hash_combine(identifier, identifiers_[i]);
      for (const auto& neighbour : around_)
        gboost::hash_combine(identifier, neighbour);
      identifiers[i] = identifier;
      keep({bonds[i], identifier, radius});
    }
    identifiers_ = std::move(identifiers);
    bonds_ = std::move(bonds);
  }

  void keep(const Fragment& fragment) {
    const auto same = std::ranges::find(kept_, fragment.bonds, &Fragment::bonds);
    if (same == kept_.end())
      kept_.push_back(fragment);
    else if (same->radius == fragment.radius)
      same->identifier = std::min(same->identifier, fragment.identifier);
  }

  const ROMol& molecule_;
  std::vector<Bonds> bonds_;  // of the fragment around each atom
  std::vector<std::uint32_t> identifiers_, all_;
  std::vector<Fragment> kept_;
  std::vector<std::pair<std::int32_t, std::uint32_t>> around_;
};

/// The same by RDKit, of molecules of any size.
std::vector<std::uint32_t> fragments_by_rdkit(const ROMol& molecule) {
  const std::unique_ptr<RDKit::SparseIntVect<std::uint32_t>> counts(
      RDKit::MorganFingerprints::getFingerprint(molecule, kRadius));
  std::vector<std::uint32_t> all;
  for (const auto& [identifier, count] : counts->getNonzeroElements())
    all.insert(all.end(), static_cast<std::size_t>(count), identifier);
  return all;
}

}  // namespace

double synthetic_accessibility(const ROMol& molecule, const FragmentTable& scores) {
  const auto all = molecule.getNumBonds() <= kMaxBonds ? Fragments(molecule).sorted()
                                                       : fragments_by_rdkit(molecule);
  double sum = 0, kinds = 0;
  for (auto from = all.begin(); from != all.end(); ++kinds) {
    const auto to = std::upper_bound(from, all.end(), *from);
    sum += scores.of(*from) * static_cast<double>(to - from);
    from = to;
  }
  const double atoms = molecule.getNumAtoms();
  const double symmetry = atoms > kinds ? 0.5 * std::log(atoms / kinds) : 0;
  return chemistry::accessibility_on_scale(
      sum / static_cast<double>(all.size()) -
      chemistry::complexity(molecule, count_stereo_centres(molecule)) + symmetry);
}

}  // namespace marginalia::molecule_property
