#include <marginalia/kernel.h>

#include "skew.h"

namespace marginalia::planar {

MARGINALIA_KERNEL void add_two_rows(double* matrix, std::size_t n, const double* u, const double* v,
                                    double pivot, std::size_t begin) {
  const auto scale = 1 / pivot;
  for (auto k = begin; k < n; ++k) {
    auto* row = matrix + k * n;
    const auto x = -u[k] * scale, y = -v[k] * scale;
    for (auto l = k + 1; l < n; ++l)
      row[l] += x * v[l] - y * u[l];
  }
}

}  // namespace marginalia::planar
