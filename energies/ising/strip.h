#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "shared/lattices/lattice.h"

namespace marginalia::ising {

/// Some spins of a row, one bit each.
using Mask = std::uint32_t;

inline Mask bit(std::int64_t c) {
  return Mask{1} << c;
}

/// Calls f(c) for the spins in `mask`, in order.
template <class F>
void for_each_spin(Mask mask, F f) {
  for (; mask != 0; mask &= mask - 1)
    f(std::int64_t{std::countr_zero(mask)});
}

/// A chain or a two-dimensional lattice, read as N rows of W spins.
struct Strip {
  std::int64_t rows, width;
  bool periodic;
  std::vector<std::int64_t> site;    ///< [N * W], the lattice's number of each spin
  std::vector<double> across, down;  ///< J to the next spin of the row, to the next row: [N * W]
};

inline constexpr std::int64_t kPeriodicWidth = 12;  ///< 2^12 x 2^12 states: a second or two
inline constexpr std::int64_t kOpenWidth = 20;      ///< 2^20 states, and in all rows at most ...
inline constexpr std::int64_t kStates = 1 << 25;    ///< ... N 2^W, kept while sampling: 256 MiB

/// A chain or two-dimensional lattice as rows along each axis, where they are narrow enough and its
/// sides are all periodic or all open.
std::vector<Strip> find_strips(const Lattice& lattice);

/// The largest sum of |J| between two rows.
double strongest_step(const std::vector<Strip>& strips);

/// The free spins of a partial state, the known ones turned into fields on them.
struct FreeSpins {
  const Strip* strip;
  std::int64_t first;         ///< the row that the product starts with; rows count from it
  std::vector<Mask> free;     ///< of each row
  std::vector<double> field;  ///< h_i + sum_{known j} J_ij s_j, [N * W] in the strip's order
  double known_part;          ///< sum of the factors whose spins are all known

  /// Where a row stands in `field` and in the strip.
  std::int64_t offset(std::int64_t row) const { return (first + row) % strip->rows * strip->width; }
};

/// Chooses the strip and the first row that cost least for the partial state x [D].
FreeSpins condition(const Lattice& lattice, const std::vector<Strip>& strips,
                    const std::int64_t* x);

}  // namespace marginalia::ising
