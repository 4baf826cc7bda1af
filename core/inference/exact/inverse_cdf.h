#pragma once

#include <cstdint>

namespace marginalia {

/// The first of `levels` values at which the running sum of their weights w passes u; never one of
/// weight 0. u: in [0, sum of w).
template <class Number>
std::int64_t inverse_cdf(const Number* w, std::int64_t levels, Number u) {
  std::int64_t last = 0;
  for (std::int64_t k = 0; k < levels; ++k) {
    if (w[k] == 0) continue;
    last = k;
    if ((u -= w[k]) < 0) break;
  }
  return last;
}

}  // namespace marginalia
