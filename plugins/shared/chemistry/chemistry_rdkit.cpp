/// \file
/// Molecules by RDKit.
#include <algorithm>
#include <cmath>

#include <DataStructs/ExplicitBitVect.h>
#include <GraphMol/ChemTransforms/ChemTransforms.h>
#include <GraphMol/Descriptors/Crippen.h>
#include <GraphMol/Descriptors/Lipinski.h>
#include <GraphMol/Descriptors/MolDescriptors.h>
#include <GraphMol/Descriptors/MolSurf.h>
#include <GraphMol/Fingerprints/MorganFingerprints.h>
#include <GraphMol/GraphMol.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <GraphMol/Substruct/SubstructMatch.h>
#include <RDGeneral/RDLog.h>
#include <RDGeneral/types.h>
#include <RDGeneral/versions.h>

#include "accessibility_rdkit.h"
#include "chemistry.h"

namespace marginalia::chemistry {

namespace {

using Pattern = std::unique_ptr<RDKit::ROMol>;

constexpr unsigned kRadius = 2;

Pattern parse_pattern(const char* smarts) {
  return Pattern(RDKit::SmartsToMol(smarts));
}

std::vector<Pattern> parse_patterns(std::span<const char* const> smarts) {
  std::vector<Pattern> patterns;
  for (const char* text : smarts)
    patterns.push_back(parse_pattern(text));
  return patterns;
}

bool has(const RDKit::ROMol& molecule, const RDKit::ROMol& pattern) {
  RDKit::MatchVectType match;
  return RDKit::SubstructMatch(molecule, pattern, match);
}

int count_acceptors(const RDKit::ROMol& molecule) {
  static const auto patterns = parse_patterns(acceptor_patterns());
  std::size_t count = 0;
  for (const auto& pattern : patterns) {
    std::vector<RDKit::MatchVectType> matches;
    RDKit::SubstructMatch(molecule, *pattern, matches);
    count += matches.size();
  }
  return static_cast<int>(count);
}

int count_alerts(const RDKit::ROMol& molecule) {
  static const auto patterns = parse_patterns(alert_patterns());
  int count = 0;
  for (const auto& pattern : patterns)
    count += has(molecule, *pattern);
  return count;
}

/// Rings that are left when atoms of rings that are not all aromatic are taken away.
int count_aromatic_rings(const RDKit::ROMol& molecule) {
  static const auto aliphatic = parse_pattern("[$([A;R][!a])]");
  const std::unique_ptr<RDKit::ROMol> rest(RDKit::deleteSubstructs(molecule, *aliphatic));
  RDKit::VECT_INT_VECT rings;
  return RDKit::MolOps::findSSSR(*rest, rings);
}

int count_stereo_centres(const RDKit::ROMol& molecule) {
  RDKit::ROMol copy(molecule);
  RDKit::MolOps::assignStereochemistry(copy, false, true, true);
  int count = 0;
  for (const auto* atom : copy.atoms())
    count += atom->hasProp(RDKit::common_properties::_CIPCode) ||
             atom->hasProp(RDKit::common_properties::_ChiralityPossible);
  return count;
}

}  // namespace

struct Molecule::Parts {
  std::unique_ptr<RDKit::RWMol> molecule;
};

std::string rdkit_version() {
  return RDKit::rdkitVersion;
}

Molecule::Molecule(const std::string& smiles) : parts_(std::make_unique<Parts>()) {
  static const bool quiet = (boost::logging::disable_logs("rdApp.*"), true);
  (void)quiet;
  try {
    parts_->molecule.reset(RDKit::SmilesToMol(smiles));
  } catch (const std::exception& e) {
    throw Unreadable(e.what());
  }
  if (!parts_->molecule) throw Unreadable("RDKit: this is not a SMILES");
  if (parts_->molecule->getNumAtoms() == 0) throw Unreadable("there is no atom in it");
}
Molecule::Molecule(Molecule&&) noexcept = default;
Molecule::~Molecule() = default;

std::string Molecule::canonical() const {
  return RDKit::MolToSmiles(*parts_->molecule);
}

std::string Molecule::scaffold() const {
  const std::unique_ptr<RDKit::ROMol> scaffold(RDKit::MurckoDecompose(*parts_->molecule));
  return RDKit::MolToSmiles(*scaffold);
}

Fingerprint Molecule::fingerprint() const {
  Fingerprint bits{};
  const std::unique_ptr<ExplicitBitVect> set(RDKit::MorganFingerprints::getFingerprintAsBitVect(
      *parts_->molecule, kRadius, 64 * bits.size()));
  IntVect on;
  set->getOnBits(on);
  for (const auto bit : on)
    bits[static_cast<std::size_t>(bit) / 64] |= std::uint64_t{1} << (bit % 64);
  return bits;
}

double Molecule::log_p() const {
  double log_p = 0, refractivity = 0;
  RDKit::Descriptors::calcCrippenDescriptors(*parts_->molecule, log_p, refractivity);
  return log_p;
}

double Molecule::weight() const {
  return RDKit::Descriptors::calcAMW(*parts_->molecule);
}

QedProperties Molecule::qed_properties() const try {
  const std::unique_ptr<RDKit::ROMol> molecule(
      RDKit::MolOps::removeHs(static_cast<const RDKit::ROMol&>(*parts_->molecule)));
  QedProperties p;
  double refractivity = 0;
  RDKit::Descriptors::calcCrippenDescriptors(*molecule, p.log_p, refractivity);
  p.weight = RDKit::Descriptors::calcAMW(*molecule);
  p.acceptors = count_acceptors(*molecule);
  p.donors = RDKit::Descriptors::calcNumHBD(*molecule);
  p.polar_surface = RDKit::Descriptors::calcTPSA(*molecule);
  p.rotatable_bonds = RDKit::Descriptors::calcNumRotatableBonds(
      *molecule, RDKit::Descriptors::NumRotatableBondsOptions::Strict);
  p.aromatic_rings = count_aromatic_rings(*molecule);
  p.alerts = count_alerts(*molecule);
  return p;
} catch (const std::exception& e) {  // a SMILES that passes once may not pass again
  throw Unreadable(e.what());
}

double Molecule::synthetic_accessibility(const FragmentScores& scores) const {
  const auto& molecule = *parts_->molecule;
  const std::unique_ptr<RDKit::SparseIntVect<std::uint32_t>> fragments(
      RDKit::MorganFingerprints::getFingerprint(molecule, kRadius));
  double sum = 0, count = 0;
  for (const auto& [fragment, times] : fragments->getNonzeroElements()) {
    sum += scores.of(fragment) * times;
    count += times;
  }
  const double atoms = molecule.getNumAtoms();
  const auto kinds = static_cast<double>(fragments->getNonzeroElements().size());
  const double symmetry = atoms > kinds ? 0.5 * std::log(atoms / kinds) : 0;
  return accessibility_on_scale(sum / count - complexity(molecule, count_stereo_centres(molecule)) +
                                symmetry);
}

}  // namespace marginalia::chemistry
