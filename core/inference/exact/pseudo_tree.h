#pragma once

#include <cstdint>
#include <vector>

#include <marginalia/api.h>
#include <marginalia/factors.h>

namespace marginalia::elimination {

/// An order of elimination as a tree: a variable stands below the first of those it sends its
/// message to, so that what lies below different children is independent once what stands above is
/// known. Freuder and Quinn (1985); Dechter and Mateescu (2007), doi:10.1016/j.artint.2006.11.003.
struct MARGINALIA_API PseudoTree {
  /// A whole order of the model's variables, all unknown.
  PseudoTree(const FactorModel& model, std::vector<std::int64_t> order);

  std::vector<std::int64_t> order;                  ///< [D], first eliminated first
  std::vector<std::int64_t> position;               ///< [D], of a variable in it
  std::vector<std::int64_t> parent;                 ///< [D], by variable; -1: a root
  std::vector<std::vector<std::int64_t>> children;  ///< [D], by variable
  std::vector<std::vector<std::int64_t>> context;   ///< [D]: what its message would be over
  std::vector<std::vector<std::size_t>> factors;    ///< [D]: those it is the first variable of
  std::vector<std::int64_t> roots;
};

}  // namespace marginalia::elimination
