/// \file
/// Drawings where there is no RDKit.
#include "drawing.h"

namespace marginalia::chemistry {

std::string draw(const std::string&) {
  return "";
}

}  // namespace marginalia::chemistry
