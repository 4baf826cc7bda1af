/// \file
/// Drawings by RDKit.
#include <exception>
#include <memory>

#include <GraphMol/GraphMol.h>
#include <GraphMol/MolDraw2D/MolDraw2DSVG.h>
#include <GraphMol/MolDraw2D/MolDraw2DUtils.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <RDGeneral/RDLog.h>

#include "drawing.h"

namespace marginalia::chemistry {

namespace {

constexpr int kWidth = 240, kHeight = 180;  // pixels
constexpr double kScale = 20;               // pixels of a length of which a bond has 1.5, at most
constexpr bool kSymbolsAsText = true;       // in place of outlines of a font

}  // namespace

std::string draw(const std::string& smiles) try {
  static const bool quiet = (boost::logging::disable_logs("rdApp.*"), true);
  (void)quiet;
  const std::unique_ptr<RDKit::RWMol> molecule(RDKit::SmilesToMol(smiles));
  if (!molecule || molecule->getNumAtoms() == 0) return "";
  RDKit::MolDraw2DSVG drawing(kWidth, kHeight, -1, -1, kSymbolsAsText);
  drawing.drawOptions().fixedBondLength = kScale;
  RDKit::MolDraw2DUtils::prepareAndDrawMolecule(drawing, *molecule);
  drawing.finishDrawing();
  return drawing.getDrawingText();
} catch (const std::exception&) {
  return "";
}

}  // namespace marginalia::chemistry
