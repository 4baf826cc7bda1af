/// \file
/// Properties by RDKit.
#include <algorithm>
#include <utility>

#include <GraphMol/Descriptors/MolDescriptors.h>
#include <RDGeneral/RDLog.h>

#include "accessibility.h"
#include "crippen.h"
#include "drug_likeness.h"
#include "properties.h"
#include "reading.h"

namespace marginalia::molecule_property {

struct Properties::Parts {
  std::vector<Property> wanted;
  std::shared_ptr<const FragmentTable> scores;
  Crippen crippen;
  std::unique_ptr<const DrugLikeness> drug_likeness;  // where wanted

  double value(const RDKit::ROMol& molecule, Property property) const {
    switch (property) {
      case Property::kLogP:
        return crippen.log_p(molecule);
      case Property::kQed:
        return chemistry::qed(drug_likeness->of(molecule, crippen.log_p(molecule)));
      case Property::kAccessibility:
        return synthetic_accessibility(molecule, *scores);
      default:
        return RDKit::Descriptors::calcAMW(molecule);
    }
  }
};

Properties::Properties(std::vector<Property> wanted, std::shared_ptr<const FragmentTable> scores) {
  boost::logging::disable_logs("rdApp.*");  // what it refuses is answered, not logged
  auto parts = std::make_unique<Parts>();
  if (std::ranges::count(wanted, Property::kQed) > 0)
    parts->drug_likeness = std::make_unique<DrugLikeness>();
  parts->wanted = std::move(wanted);
  parts->scores = std::move(scores);
  parts_ = std::move(parts);
}
Properties::~Properties() = default;

std::vector<double> Properties::of(const std::string& smiles) const {
  const auto molecule = read_molecule(smiles);
  std::vector<double> values;
  for (const auto property : parts_->wanted)
    values.push_back(parts_->value(*molecule, property));
  return values;
}

}  // namespace marginalia::molecule_property
