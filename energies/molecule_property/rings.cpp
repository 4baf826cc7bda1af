#include "rings.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <GraphMol/MolOps.h>
#include <GraphMol/RingInfo.h>

#include "graph.h"

namespace marginalia::molecule_property {

namespace {

/// Bond i joins the atoms i and i + 1, the last one the last atom and the first.
struct Ring {
  std::vector<int> atoms, bonds;
};

/// One ring for each bond that a walk through the molecule, depth first, finds to lead back.
class Walk {
 public:
  explicit Walk(const Graph& graph)
      : graph_(graph), from_(static_cast<std::size_t>(graph.size())), depth_(from_.size(), -1) {
    for (int node = 0; node < graph.size(); ++node)
      if (depth_at(node) < 0) walk(node);
  }
  std::vector<Ring> rings;

 private:
  struct Visit {
    int node;
    std::size_t next = 0;  // of its neighbours
  };
  int& depth_at(int node) { return depth_[static_cast<std::size_t>(node)]; }
  Neighbour& from(int node) { return from_[static_cast<std::size_t>(node)]; }

  void walk(int root) {
    std::vector<Visit> stack{{root}};
    depth_at(root) = 0;
    from(root) = {-1, nullptr};
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      const auto around = graph_.neighbours(node);
      if (next == around.size()) {
        stack.pop_back();
        continue;
      }
      const auto& [other, bond] = around[next++];
      if (depth_at(other) < 0) {
        depth_at(other) = depth_at(node) + 1;
        from(other) = {node, bond};
        stack.push_back({other});
      } else if (depth_at(other) < depth_at(node) - 1) {
        close(node, other, *bond);
      }
    }
  }

  void close(int node, int ancestor, const RDKit::Bond& bond) {
    Ring ring;
    for (; node != ancestor; node = from(node).node) {
      ring.atoms.push_back(node);
      ring.bonds.push_back(static_cast<int>(from(node).bond->getIdx()));
    }
    ring.atoms.push_back(ancestor);
    ring.bonds.push_back(static_cast<int>(bond.getIdx()));
    rings.push_back(std::move(ring));
  }

  const Graph& graph_;
  std::vector<Neighbour> from_;  // where the walk came from, over which bond
  std::vector<int> depth_;       // -1: not visited
};

/// The ring of the bonds that one of two has and not the other.
Ring difference(const RDKit::ROMol& molecule, const Ring& a, const Ring& b) {
  std::vector<const RDKit::Bond*> bonds;
  const auto add = [&](const Ring& from, const Ring& without) {
    for (const int bond : from.bonds)
      if (std::ranges::count(without.bonds, bond) == 0)
        bonds.push_back(molecule.getBondWithIdx(static_cast<unsigned>(bond)));
  };
  add(a, b);
  add(b, a);
  Ring ring;
  for (auto atom = bonds.front()->getBeginAtomIdx(); !bonds.empty();) {
    const auto next = std::ranges::find_if(bonds, [&](const auto* bond) {
      return bond->getBeginAtomIdx() == atom || bond->getEndAtomIdx() == atom;
    });
    ring.atoms.push_back(static_cast<int>(atom));
    ring.bonds.push_back(static_cast<int>((*next)->getIdx()));
    atom = (*next)->getOtherAtomIdx(atom);
    bonds.erase(next);
  }
  return ring;
}

/// The rings of a molecule; nothing where they are not plain to see.
std::optional<std::vector<Ring>> plain_rings(const RDKit::ROMol& molecule) {
  auto rings = Walk(Graph(molecule)).rings;
  constexpr int kNone = -1;
  std::vector<int> owner(molecule.getNumBonds(), kNone), partner(rings.size(), kNone);
  for (int r = 0; r < static_cast<int>(rings.size()); ++r)
    for (const int bond : rings[static_cast<std::size_t>(r)].bonds) {
      int& first = owner[static_cast<std::size_t>(bond)];
      if (first == kNone) first = r;
      if (first == r) continue;
      int &mine = partner[static_cast<std::size_t>(r)],
          &theirs = partner[static_cast<std::size_t>(first)];
      if ((mine != kNone && mine != first) || (theirs != kNone && theirs != r)) return {};
      mine = first;
      theirs = r;
    }
  for (std::size_t r = 0; r < rings.size(); ++r) {
    if (partner[r] <= static_cast<int>(r)) continue;  // alone, or done
    auto& a = rings[r];
    auto& b = rings[static_cast<std::size_t>(partner[r])];
    auto c = difference(molecule, a, b);
    if (a.bonds.size() < b.bonds.size()) std::swap(a, b);
    if (c.bonds.size() > a.bonds.size()) continue;
    if (a.bonds.size() == std::max(b.bonds.size(), c.bonds.size())) return {};  // a choice
    a = std::move(c);
  }
  return rings;
}

/// Releases that ask which rings they are, those of MolOps::symmetrizeSSSR, would else find others.
template <class Info>
void initialise(Info& info) {
  if constexpr (requires { info.getRingType(); })
    info.initialize(decltype(info.getRingType())::FIND_RING_TYPE_SYMM_SSSR);
  else
    info.initialize();
}

}  // namespace

void find_rings(RDKit::RWMol& molecule) {
  if (const auto rings = plain_rings(molecule)) {
    initialise(*molecule.getRingInfo());
    for (const auto& ring : *rings)
      molecule.getRingInfo()->addRing(ring.atoms, ring.bonds);
    return;
  }
  RDKit::VECT_INT_VECT rings;
  RDKit::MolOps::symmetrizeSSSR(molecule, rings);
}

}  // namespace marginalia::molecule_property
