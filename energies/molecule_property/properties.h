/// \file
/// Properties of many molecules: RDKit's numbers in a fraction of its time. Needs no RDKit to be
/// included.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fragment_table.h"
#include "shared/chemistry/chemistry.h"

namespace marginalia::molecule_property {

enum class Property { kLogP, kQed, kAccessibility, kWeight };

/// The names of properties in a spec, in the order of Property: "logp", "qed", "sa", "weight".
const std::vector<std::string>& property_names();

/// Answers from several threads at once; what they share is only read.
class Properties {
 public:
  /// scores: may be null where kAccessibility is not among those wanted. Throws chemistry::Missing
  /// where the program was built without RDKit.
  Properties(std::vector<Property> wanted, std::shared_ptr<const FragmentTable> scores);
  ~Properties();

  /// The wanted properties of one molecule, in their order: logP; QED, 0 to 1; SA score, 1 to 10;
  /// weight, g/mol. Throws chemistry::Unreadable where RDKit refuses it or it has no atoms.
  std::vector<double> of(const std::string& smiles) const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace marginalia::molecule_property
