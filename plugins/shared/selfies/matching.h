/// \file
/// Matchings in graphs: which atoms of an aromatic system share a double bond.
#pragma once

#include <vector>

namespace marginalia::selfies {

using Graph = std::vector<std::vector<int>>;  ///< the neighbours of each node, in order

/// A matching of all nodes: the mate of each; -1 for some where the search ends without one.
///
/// Greedy first, nodes with the fewest free neighbours before others, then breadth-first
/// augmenting paths from the nodes left over. Of several perfect matchings, the one that the
/// reference implementation of SELFIES finds, and as there odd cycles are not contracted.
std::vector<int> match(const Graph& graph);

}  // namespace marginalia::selfies
