/// \file
/// The eight numbers that QED is a function of, counted by patterns that threads share.
/// Source: Bickerton, Paolini, Besnard, Muresan and Hopkins (2012), Nature Chemistry 4, 90.
#pragma once

#include <vector>

#include "crippen.h"
#include "pattern.h"
#include "shared/chemistry/qed.h"

namespace marginalia::molecule_property {

class DrugLikeness {
 public:
  DrugLikeness();
  chemistry::QedProperties of(const RDKit::ROMol& molecule, double log_p) const;

 private:
  std::vector<Pattern> acceptors_, alerts_;
  Pattern aliphatic_, donors_, rotatable_bonds_;
};

}  // namespace marginalia::molecule_property
