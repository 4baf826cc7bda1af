#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/api.h>

namespace marginalia {

/// What it costs to eliminate variables in some order.
struct EliminationCost {
  std::int64_t width = 0;  ///< most variables of a message: the induced width
  double entries = 0;      ///< of all messages together: what memory goes into
  double products = 0;     ///< entries times values of the variable summed out: what time goes into
  bool complete = true;    ///< whether all variables were counted
};

/// An order in which to sum variables out, each after those that stand before it.
struct EliminationOrder {
  std::vector<std::int64_t> variables;  ///< those that are unknown
  EliminationCost cost;
};

/// Greedy order by fewest fill edges (min-fill), ties broken by the smaller message: the one of
/// fewest products among a few with other ties, half of them counting an edge as the product of its
/// cardinalities (weighted min-fill); more of them the heavier the elimination itself is, so that
/// the search takes a share of its time. Past 10^18 entries the search ends: what it has is the
/// beginning of an order, its cost a lower bound. Koller and Friedman (2009), Probabilistic
/// Graphical Models, section 9.4.3. scopes: variables of each factor; unknown: [D], those that are
/// to be eliminated.
EliminationOrder min_fill(const std::vector<std::int64_t>& cardinalities,
                          const std::vector<std::vector<std::int64_t>>& scopes,
                          const std::vector<bool>& unknown);

/// A whole order, however wide: the narrowest, by the entries of its messages, of `tries` as above.
MARGINALIA_API EliminationOrder whole_order(const std::vector<std::int64_t>& cardinalities,
                                            const std::vector<std::vector<std::int64_t>>& scopes,
                                            int tries);

/// What the induced width of no order is below: the greatest least degree on the way down as edges
/// are contracted. Bodlaender and Koster (2011), doi:10.1016/j.ic.2011.04.003 (MMD+, least-c).
MARGINALIA_API std::int64_t least_width(std::size_t dimension,
                                        const std::vector<std::vector<std::int64_t>>& scopes,
                                        const std::vector<bool>& unknown);

/// What the first of those orders costs: a quick look that gives up past `most` entries.
EliminationCost greedy_cost(const std::vector<std::int64_t>& cardinalities,
                            const std::vector<std::vector<std::int64_t>>& scopes, double most);

}  // namespace marginalia
