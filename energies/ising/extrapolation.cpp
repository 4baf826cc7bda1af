#include "extrapolation.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "shared/lattices/lattice.h"
#include "torus.h"
#include "transfer_matrix.h"

namespace marginalia::ising {
namespace {

/// log Z of a torus of `width` x `length`, a site.
double per_site(std::int64_t width, std::int64_t length, double coupling, double field) {
  const auto lattice = uniform_lattice({length, width}, true, coupling, field);
  const auto space = marginalia::StateSpace::uniform(lattice.sites(), 2, lattice.sides);
  return TransferMatrix(lattice, space).log_z() / double(lattice.sites());
}

}  // namespace

std::optional<marginalia::KnownLogZ> wide_torus(const std::vector<std::int64_t>& sides,
                                                double coupling, double field) {
  if (sides.size() != 2) return std::nullopt;
  const auto [narrow, length] = std::minmax(sides[0], sides[1]);
  if (field == 0 && coupling > 0)
    return marginalia::KnownLogZ{torus(length, narrow, coupling).log_z, 0, "Kaufman's closed form"};
  constexpr auto kWidth = kPeriodicWidth;
  const auto sites = double(narrow * length);
  // an antiferromagnet is frustrated on odd widths
  const auto step = coupling < 0 ? 2 : 1;
  const auto last = sites * per_site(kWidth, length, coupling, field);
  const auto before = sites * per_site(kWidth - step, length, coupling, field);
  return marginalia::KnownLogZ{
      last, std::max(std::fabs(last - before), 1e-12 * std::fabs(last)),
      fmt::format("extrapolated from strips of width {} and {}", kWidth - step, kWidth)};
}

}  // namespace marginalia::ising
