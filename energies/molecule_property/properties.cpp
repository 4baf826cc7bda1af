#include "properties.h"

namespace marginalia::molecule_property {

const std::vector<std::string>& property_names() {
  static const std::vector<std::string> names{"logp", "qed", "sa", "weight"};
  return names;
}

}  // namespace marginalia::molecule_property
