/// \file
/// Properties where there is no RDKit.
#include "properties.h"

namespace marginalia::molecule_property {

struct Properties::Parts {};

Properties::Properties(std::vector<Property>, std::shared_ptr<const FragmentTable>) {
  throw chemistry::Missing();
}
Properties::~Properties() = default;

std::vector<double> Properties::of(const std::string&) const {
  throw chemistry::Missing();
}

}  // namespace marginalia::molecule_property
