/// \file
/// Molecules where there is no RDKit.
#include "chemistry.h"

namespace marginalia::chemistry {

struct Molecule::Parts {};

std::string rdkit_version() {
  return "";
}

Molecule::Molecule(const std::string&) {
  throw Missing();
}
Molecule::Molecule(Molecule&&) noexcept = default;
Molecule::~Molecule() = default;

std::string Molecule::canonical() const {
  throw Missing();
}
std::string Molecule::scaffold() const {
  throw Missing();
}
Fingerprint Molecule::fingerprint() const {
  throw Missing();
}
double Molecule::log_p() const {
  throw Missing();
}
double Molecule::weight() const {
  throw Missing();
}
QedProperties Molecule::qed_properties() const {
  throw Missing();
}
double Molecule::synthetic_accessibility(const FragmentScores&) const {
  throw Missing();
}

}  // namespace marginalia::chemistry
