#include "torus.h"

#include <cmath>
#include <numbers>

namespace marginalia::ising {
namespace {

using Real = long double;

constexpr Real kTiny = 1e-200L;  // stands for 0 where g_0 vanishes: its term does, its slope not

/// The log of |x| and its sign, and the derivative of that log by J.
struct LogTerm {
  Real log = 0, slope = 0;
  int sign = 1;
};

/// log 2 cosh x and log 2 sinh |x|, with their derivatives.
LogTerm log_cosh(Real x, Real dx) {
  const auto a = std::fabs(x);
  return {a + std::log1p(std::exp(-2 * a)), std::tanh(x) * dx, 1};
}
LogTerm log_sinh(Real x, Real dx) {
  const auto a = std::fmax(std::fabs(x), kTiny);
  return {a + std::log1p(-std::exp(-2 * a)), (x < 0 ? -dx : dx) / std::tanh(a), x < 0 ? -1 : 1};
}

/// g_r and its derivative by J. g_0 changes sign at the critical coupling; the others are positive.
struct Angle {
  Real g, slope;
};
Angle angle(std::int64_t r, std::int64_t columns, Real J) {
  const Real c = std::cosh(2 * J), s = std::sinh(2 * J);
  if (r == 0) return {2 * J + std::log(std::tanh(J)), 2 + 2 / s};
  const Real q = c * c / s - std::cos(std::numbers::pi_v<Real> * Real(r) / Real(columns));
  const Real dq = 2 * c * (2 - c * c / (s * s));
  return {std::acosh(q), dq / std::sqrt(q * q - 1)};
}

/// prod_r 2 cosh or 2 sinh (L g_{2r + odd} / 2).
LogTerm product(std::int64_t rows, std::int64_t columns, Real J, bool odd, bool sinh) {
  LogTerm total;
  for (std::int64_t r = 0; r < columns; ++r) {
    const auto [g, slope] = angle(2 * r + (odd ? 1 : 0), columns, J);
    const auto half = Real(rows) / 2;
    const auto term = sinh ? log_sinh(half * g, half * slope) : log_cosh(half * g, half * slope);
    total.log += term.log;
    total.slope += term.slope;
    total.sign *= term.sign;
  }
  return total;
}

}  // namespace

TorusValues torus(std::int64_t rows, std::int64_t columns, double coupling) {
  const Real J = coupling, sites = Real(rows * columns);
  const LogTerm terms[4] = {
      product(rows, columns, J, true, false), product(rows, columns, J, true, true),
      product(rows, columns, J, false, false), product(rows, columns, J, false, true)};
  Real highest = terms[0].log;
  for (const auto& term : terms)
    highest = std::fmax(highest, term.log);
  Real sum = 0, slope = 0;
  for (const auto& term : terms) {
    const auto weight = Real(term.sign) * std::exp(term.log - highest);
    sum += weight;
    slope += weight * term.slope;
  }
  const auto factor = sites / 2 * std::log(2 * std::sinh(2 * J)) - std::log(Real(2));
  const Real log_z = factor + highest + std::log(sum);
  const Real by_coupling = sites / std::tanh(2 * J) + slope / sum;
  const Real energy = -J * by_coupling;
  return {double(log_z), double(energy), double(log_z + energy)};
}

}  // namespace marginalia::ising
