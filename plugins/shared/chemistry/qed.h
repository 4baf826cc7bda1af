/// \file
/// QED, the quantitative estimate of drug-likeness: exp of the weighted mean of the logarithms of
/// eight desirabilities.
/// Source: Bickerton, Paolini, Besnard, Muresan and Hopkins (2012), Nature Chemistry 4, 90.
#pragma once

#include <array>
#include <span>

namespace marginalia::chemistry {

/// The eight numbers that QED is a function of.
struct QedProperties {
  double weight = 0, log_p = 0, acceptors = 0, donors = 0, polar_surface = 0, rotatable_bonds = 0,
         aromatic_rings = 0, alerts = 0;
};

/// QED with the published mean weights (QED_w,mo).
double qed(const QedProperties& properties);

/// SMARTS of hydrogen-bond acceptors, as QED counts them.
std::span<const char* const> acceptor_patterns();
/// SMARTS of unwanted substructures, the alerts of the paper's supplement in RDKit's spelling.
std::span<const char* const> alert_patterns();

}  // namespace marginalia::chemistry
