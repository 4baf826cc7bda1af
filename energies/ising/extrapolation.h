#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <marginalia/energy.h>

namespace marginalia::ising {

/// log Z of a torus that is too wide to be summed, equal couplings and fields everywhere: in zero
/// field and J > 0 by Kaufman's closed form, else from strips of the widths that can be summed,
/// whose free energy a site converges exponentially with the width (Onsager 1944,
/// doi:10.1103/PhysRev.65.117); `error` is what the last widening changed. None but for
/// two-dimensional tori.
std::optional<marginalia::KnownLogZ> wide_torus(const std::vector<std::int64_t>& sides,
                                                double coupling, double field);

}  // namespace marginalia::ising
