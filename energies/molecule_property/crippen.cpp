#include "crippen.h"

#include <boost/smart_ptr.hpp>

#include <GraphMol/Descriptors/Crippen.h>

namespace marginalia::molecule_property {

Crippen::Crippen() {
  for (const auto& type : *RDKit::Descriptors::CrippenParamCollection::getParams()) {
    const std::shared_ptr<const RDKit::ROMol> query(type.dp_pattern.get(),
                                                    [keep = type.dp_pattern](const auto*) {});
    types_.push_back({Pattern(query), type.logp});
    const auto& classes = types_.back().pattern.first_classes();
    for (std::size_t c = 0; c < kClasses; ++c)
      if (classes[c]) candidates_[c].push_back(types_.size() - 1);
  }
}

double Crippen::contribution(const Graph& graph, int node) const {
  for (const auto index : candidates_[static_cast<std::size_t>(graph.class_at(node))])
    if (types_[index].pattern.is_at(graph, node)) return types_[index].log_p;
  return 0;
}

/// Summed in RDKit's order, so that not even the last digit differs.
double Crippen::log_p(const RDKit::ROMol& molecule) const {
  const Graph graph(molecule, &hydrogen_);
  const auto n = static_cast<int>(molecule.getNumAtoms());
  double sum = 0;
  for (int atom = 0; atom < n; ++atom)
    sum += contribution(graph, atom);
  for (int atom = 0; atom < n; ++atom) {
    const auto hydrogens = graph.atom(atom).getTotalNumHs();
    if (hydrogens == 0) continue;
    const double each = contribution(graph, graph.hydrogen_at(atom));
    for (unsigned i = 0; i < hydrogens; ++i)
      sum += each;
  }
  return sum;
}

}  // namespace marginalia::molecule_property
