#include "graph.h"

#include <algorithm>
#include <array>

#include <GraphMol/SmilesParse/SmilesParse.h>

namespace marginalia::molecule_property {

bool has_plain_bonds(const RDKit::ROMol& molecule) {
  using RDKit::Bond;
  constexpr std::array kPlain{Bond::SINGLE, Bond::DOUBLE, Bond::TRIPLE, Bond::AROMATIC};
  for (const auto* bond : molecule.bonds())
    if (std::ranges::count(kPlain, bond->getBondType()) == 0) return false;
  return true;
}

Hydrogen::Hydrogen() {
  RDKit::SmilesParserParams as_written;
  as_written.removeHs = false;
  methane_.reset(RDKit::SmilesToMol("[H]C", as_written));
}
const RDKit::Atom& Hydrogen::atom() const {
  return *methane_->getAtomWithIdx(0);
}
const RDKit::Bond& Hydrogen::bond() const {
  return *methane_->getBondWithIdx(0);
}

namespace {

struct Edge {
  int a, b;
  const RDKit::Bond* bond;
};

std::vector<Edge> list_edges(const RDKit::ROMol& molecule) {
  std::vector<Edge> edges;
  edges.reserve(2 * molecule.getNumAtoms() + molecule.getNumBonds());
  for (const auto* bond : molecule.bonds())
    edges.push_back(
        {static_cast<int>(bond->getBeginAtomIdx()), static_cast<int>(bond->getEndAtomIdx()), bond});
  return edges;
}

}  // namespace

Graph::Graph(const RDKit::ROMol& molecule, const Hydrogen* hydrogen) {
  auto edges = list_edges(molecule);
  const auto n = molecule.getNumAtoms();
  atoms_.reserve(hydrogen ? 3 * n : n);
  for (const auto* atom : molecule.atoms())
    atoms_.push_back(atom);
  for (unsigned i = 0; hydrogen && i < n; ++i) {
    hydrogens_.push_back(size());
    for (auto left = std::min(2u, atoms_[i]->getTotalNumHs()); left > 0; --left) {
      edges.push_back({static_cast<int>(i), size(), &hydrogen->bond()});
      atoms_.push_back(&hydrogen->atom());
    }
  }
  for (const auto* atom : atoms_) {
    classes_.push_back(classify(*atom));
    present_.set(static_cast<std::size_t>(classes_.back()));
  }
  first_.assign(atoms_.size() + 1, 0);
  for (const auto& edge : edges) {
    ++first_[at(edge.a) + 1];
    ++first_[at(edge.b) + 1];
  }
  for (std::size_t i = 1; i < first_.size(); ++i)
    first_[i] += first_[i - 1];
  neighbours_.resize(2 * edges.size());
  auto next = first_;
  for (const auto& edge : edges) {
    neighbours_[next[at(edge.a)]++] = {edge.b, edge.bond};
    neighbours_[next[at(edge.b)]++] = {edge.a, edge.bond};
  }
}

const RDKit::Bond* Graph::bond_between(int a, int b) const {
  const auto around = neighbours(a);
  const auto found = std::ranges::find(around, b, &Neighbour::node);
  return found == around.end() ? nullptr : found->bond;
}

}  // namespace marginalia::molecule_property
