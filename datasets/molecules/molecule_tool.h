/// \file
/// The verb `molecules`: SMILES to SELFIES and back, and properties of molecules.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <marginalia/params.h>
#include <marginalia/tool.h>

namespace marginalia::molecules {

class MoleculeTool final : public Tool {
 public:
  static constexpr const char* kName = "molecules";
  static constexpr const char* kSummary = "SMILES to SELFIES and back; logP, QED, SA score, weight";
  static constexpr const char* kSource =
      "SELFIES: Krenn et al. (2020), Mach. Learn.: Sci. Technol. 1, 045024; logP: Wildman and "
      "Crippen (1999), J. Chem. Inf. Comput. Sci. 39, 868; QED: Bickerton et al. (2012), Nat. "
      "Chem. "
      "4, 90; SA: Ertl and Schuffenhauer (2009), J. Cheminform. 1, 8";

  struct Params {
    void visit(ParamVisitor&) {}
  };
  MoleculeTool(const Params&, const ToolContext& context) : context_(context) {}

  std::string usage() const override;
  int run(const std::vector<std::string>& arguments, std::istream& in,
          std::ostream& out) const override;

 private:
  ToolContext context_;
};

}  // namespace marginalia::molecules
