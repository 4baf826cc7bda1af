/// \file
/// Patterns that are looked for from one atom outwards.
///
/// RDKit reads the SMARTS and judges single atoms and bonds; the search is ours. It starts where it
/// is told, or at the atoms that can be the pattern's rarest one, and keeps nothing between calls,
/// so that threads share a pattern without a lock. (RDKit's own search goes over the whole molecule
/// each time, and locks patterns with $(...), in which it stores what they matched.)
#pragma once

#include <RDGeneral/RDConfig.h>  // first: layouts of queries depend on it

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <GraphMol/QueryAtom.h>
#include <GraphMol/QueryBond.h>

#include "graph.h"

namespace marginalia::molecule_property {

class Pattern {
 public:
  explicit Pattern(const std::string& smarts);
  explicit Pattern(std::shared_ptr<const RDKit::ROMol> query);  ///< of RDKit's SMARTS
  Pattern(Pattern&&) noexcept;
  ~Pattern();

  /// The classes that the pattern's first atom can be of, and perhaps some more.
  const Classes& first_classes() const;
  /// Whether it is there with its first atom at `node`.
  bool is_at(const Graph& graph, int node) const;
  bool is_in(const Graph& graph) const;
  /// How many different sets of atoms it is found at.
  int count_in(const Graph& graph) const;

 private:
  struct AtomTest;
  struct Step;
  struct Bounds;
  using Query = RDKit::QueryAtom::QUERYATOM_QUERY;

  AtomTest make_test(const Query& query) const;
  std::vector<Step> steps_from(unsigned first) const;
  unsigned rarest() const;

  static Bounds compute_bounds(const Query& query);
  static bool passes(const AtomTest& test, const Graph& graph, int node);
  /// Places the steps from places.size() on; calls `found` with each placement until it says true.
  template <class Found>
  static bool place(const std::vector<Step>& steps, const Graph& graph, std::vector<int>& places,
                    const Found& found);
  template <class Found>
  static bool place_anywhere(const std::vector<Step>& steps, const Graph& graph,
                             const Found& found);
  static bool fits(const Step& step, const Graph& graph, std::span<const int> places, int node);

  std::shared_ptr<const RDKit::ROMol> query_;
  std::vector<Step> steps_, fast_steps_;  // from the first atom, and from the rarest
};

}  // namespace marginalia::molecule_property
