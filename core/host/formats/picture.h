#pragma once

#include <string>

#include <marginalia/state_space.h>

namespace marginalia {

/// A PNG file: the states in rows of a square grid, each a grey picture in the space's shape [H,
/// W], black for level 0 to white for the last, half grey where unknown. Small ones are enlarged.
/// x: int64 [N, D], N > 0.  -> its bytes.
std::string picture_grid(const StateSpace& space, const Tensor& x);

}  // namespace marginalia
