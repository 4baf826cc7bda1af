/// \file
/// Structural formulae by RDKit. Needs no RDKit to be included.
#pragma once

#include <string>

namespace marginalia::chemistry {

/// The formula of a SMILES: an SVG document of 240 x 180 pixels on white, its symbols as text.
/// Empty where RDKit reads no molecule with atoms, or cannot lay it out, and where the program was
/// built without RDKit.
std::string draw(const std::string& smiles);

}  // namespace marginalia::chemistry
