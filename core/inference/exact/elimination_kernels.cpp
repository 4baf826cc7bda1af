#include "elimination_kernels.h"

#include <algorithm>
#include <limits>

#include <marginalia/kernel.h>

namespace marginalia::elimination {
namespace {

constexpr std::int64_t kLanes = 16;  // sums side by side, which the compiler may not reorder itself

}  // namespace

MARGINALIA_KERNEL Extremes find_extremes(const double* x, std::int64_t n) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  double least[kLanes], greatest[kLanes];
  std::fill_n(least, kLanes, kNone);
  std::fill_n(greatest, kLanes, 0.0);
  const auto whole = n - n % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes)
    for (std::int64_t l = 0; l < kLanes; ++l) {
      const double value = x[i + l], above = value > 0 ? value : kNone;
      least[l] = above < least[l] ? above : least[l];
      greatest[l] = value > greatest[l] ? value : greatest[l];
    }
  Extremes found{kNone, 0};
  for (std::int64_t i = whole; i < n; ++i) {
    if (x[i] > 0) found.least = std::min(found.least, x[i]);
    found.greatest = std::max(found.greatest, x[i]);
  }
  for (std::int64_t l = 0; l < kLanes; ++l) {
    found.least = std::min(found.least, least[l]);
    found.greatest = std::max(found.greatest, greatest[l]);
  }
  return found;
}

MARGINALIA_KERNEL double multiply_and_sum(double* __restrict out, double c,
                                          const double* __restrict x, const double* __restrict y,
                                          std::int64_t n) {
  double lanes[kLanes] = {}, total = 0;
  const auto whole = n - n % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes)
    for (std::int64_t l = 0; l < kLanes; ++l)
      lanes[l] += out[i + l] = c * (x[i + l] * y[i + l]);
  for (std::int64_t i = whole; i < n; ++i)
    total += out[i] = c * (x[i] * y[i]);
  for (const auto lane : lanes)
    total += lane;
  return total;
}

MARGINALIA_KERNEL double multiply_and_sum(double* __restrict out, double c,
                                          const double* __restrict x, const double* __restrict y,
                                          const double* __restrict z, std::int64_t n) {
  double lanes[kLanes] = {}, total = 0;
  const auto whole = n - n % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes)
    for (std::int64_t l = 0; l < kLanes; ++l)
      lanes[l] += out[i + l] = c * (x[i + l] * y[i + l] * z[i + l]);
  for (std::int64_t i = whole; i < n; ++i)
    total += out[i] = c * (x[i] * y[i] * z[i]);
  for (const auto lane : lanes)
    total += lane;
  return total;
}

MARGINALIA_KERNEL void add(double* __restrict out, const double* __restrict x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] += x[i];
}

MARGINALIA_KERNEL void add_constant(double* __restrict out, double c, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] += c;
}

MARGINALIA_KERNEL void add_scaled(double* __restrict out, double c, const double* __restrict x,
                                  std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] += c * x[i];
}

MARGINALIA_KERNEL void add_product(double* __restrict out, double c, const double* __restrict x,
                                   const double* __restrict y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] += c * (x[i] * y[i]);
}

MARGINALIA_KERNEL void multiply(double* out, const double* x, const double* y, std::int64_t n) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = x[i] * y[i];
}

MARGINALIA_KERNEL void scale(double* out, double c, const double* x, std::int64_t n) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = c * x[i];
}

MARGINALIA_KERNEL void divide_into(double* __restrict out, const double* __restrict x,
                                   std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double by = out[i];
    const double ratio = x[i] / (by > 0 ? by : 1);
    out[i] = by > 0 ? ratio : 0;
  }
}

MARGINALIA_KERNEL void raise_constant(double* __restrict out, double c, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = c > out[i] ? c : out[i];
}

MARGINALIA_KERNEL void raise_shifted(double* __restrict out, double c, const double* __restrict x,
                                     std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double value = c + x[i];
    out[i] = value > out[i] ? value : out[i];
  }
}

MARGINALIA_KERNEL void raise_sum(double* __restrict out, double c, const double* __restrict x,
                                 const double* __restrict y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double value = c + (x[i] + y[i]);
    out[i] = value > out[i] ? value : out[i];
  }
}

MARGINALIA_KERNEL void add_into(double* out, const double* x, const double* y, std::int64_t n) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = x[i] + y[i];
}

MARGINALIA_KERNEL void gather(double* __restrict out, const double* __restrict table,
                              const std::int32_t* __restrict places, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i)
    out[i] = table[places[i]];
}

void scatter_add(double* table, const std::int32_t* places, std::int64_t run, const double* x,
                 std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += run) {
    double total = x[i];
    for (std::int64_t r = 1; r < run; ++r)
      total += x[i + r];
    table[places[i]] += total;
  }
}

}  // namespace marginalia::elimination
