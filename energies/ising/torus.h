#pragma once

#include <cstdint>

namespace marginalia::ising {

/// A ferromagnet without field on a torus of L rows of M spins, exactly.
struct TorusValues {
  double log_z;    ///< nats
  double energy;   ///< mean of -sum_<ij> J s_i s_j, nats
  double entropy;  ///< log Z + energy, nats
};

/// Kaufman (1949), doi:10.1103/PhysRev.76.1232; Ferdinand and Fisher (1969),
/// doi:10.1103/PhysRev.185.832, eq. 2.1 to 2.6:
///   Z = 1/2 (2 sinh 2J)^{LM/2} (Z_1 + Z_2 + Z_3 + Z_4),
///   Z_1 = prod_r 2 cosh(L g_{2r+1} / 2),  Z_2 the same with sinh,  Z_3, Z_4 with g_{2r},
///   cosh g_r = cosh 2J coth 2J - cos(pi r / M),  g_0 = 2J + log tanh J.
/// J > 0, nats; L, M at least 3. In long double.
TorusValues torus(std::int64_t rows, std::int64_t columns, double coupling);

}  // namespace marginalia::ising
