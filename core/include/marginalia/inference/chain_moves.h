#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/tensor.h>

namespace marginalia {

class StateVisitor;
class Support;

/// What moves have changed in chains since they burnt in. An exchange of whole states, as between
/// temperatures, is no move.
class MARGINALIA_API ChainMoves {
 public:
  /// moved: bool [B, D], what changed in some of the chains; log_f: float64 [B], of where they are
  /// now: a chain in a forbidden state has moved nothing. sweeps: of every chain, since the last.
  void add(const Tensor& moved, const Tensor& log_f, double sweeps);
  bool any() const { return moved_.defined(); }  ///< whether there is anything to tell
  bool all() const;                              ///< whether every variable has moved
  /// Variables, ascending, whose value no move changed in any chain, though two of their values are
  /// allowed, and though moves were many enough to have changed them by now: chains disagree on the
  /// value, or there is no way to another one.
  ///
  /// states: int64 [C, D], where all chains are; held: int64 [D], what they hold fixed.
  std::vector<std::int64_t> never_moved(const Support& support, const Tensor& states,
                                        const Tensor& held) const;
  void visit(StateVisitor& visitor);

 private:
  Tensor moved_;   // bool [D]
  Tensor sweeps_;  // float64 [], of every chain
};

/// "variables 0 and 2 never moved: ..."; empty where there are none.
MARGINALIA_API std::string never_moved_text(const std::vector<std::int64_t>& variables);

/// That text, and how many of all chains are in forbidden states; empty where neither is.
MARGINALIA_API std::string chains_text(const ChainMoves& moves, const Support& support,
                                       const Tensor& states, const Tensor& held);

}  // namespace marginalia
