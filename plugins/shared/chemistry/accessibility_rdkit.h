/// \file
/// What synthetic accessibility takes from a molecule beside its fragments.
/// Source: Ertl and Schuffenhauer (2009), J. Cheminform. 1, 8.
#pragma once

#include <algorithm>
#include <cmath>

#include <GraphMol/Descriptors/MolDescriptors.h>
#include <GraphMol/RingInfo.h>

namespace marginalia::chemistry {

inline bool has_macrocycle(const RDKit::ROMol& molecule) {
  constexpr std::size_t kLargestPlainRing = 8;
  return std::ranges::any_of(molecule.getRingInfo()->atomRings(),
                             [](const auto& ring) { return ring.size() > kLargestPlainRing; });
}

/// What makes a molecule hard: size, stereo centres, odd rings.
inline double complexity(const RDKit::ROMol& molecule, int stereo_centres) {
  const double atoms = molecule.getNumAtoms();
  return std::pow(atoms, 1.005) - atoms + std::log10(stereo_centres + 1) +
         std::log10(RDKit::Descriptors::calcNumSpiroAtoms(molecule) + 1) +
         std::log10(RDKit::Descriptors::calcNumBridgeheadAtoms(molecule) + 1) +
         (has_macrocycle(molecule) ? std::log10(2) : 0);
}

/// Maps the sum of contributions to 1 (easy) .. 10, with the upper end smoothed.
inline double accessibility_on_scale(double sum) {
  constexpr double kLowest = -4, kHighest = 2.5;
  double score = 11 - (sum - kLowest + 1) / (kHighest - kLowest) * 9;
  if (score > 8) score = 8 + std::log(score - 8);
  return std::clamp(score, 1.0, 10.0);
}

}  // namespace marginalia::chemistry
