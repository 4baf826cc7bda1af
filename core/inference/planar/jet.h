#pragma once

#include <cmath>

namespace marginalia::planar {

/// A function of one variable at a point: its value and its first two derivatives.
struct Jet {
  double value = 0, slope = 0, curvature = 0;

  Jet() = default;
  explicit Jet(double at) : value(at) {}
  Jet(double at, double first, double second) : value(at), slope(first), curvature(second) {}
};

inline Jet operator-(const Jet& x) {
  return {-x.value, -x.slope, -x.curvature};
}
inline Jet operator+(const Jet& x, const Jet& y) {
  return {x.value + y.value, x.slope + y.slope, x.curvature + y.curvature};
}
inline Jet operator-(const Jet& x, const Jet& y) {
  return {x.value - y.value, x.slope - y.slope, x.curvature - y.curvature};
}
inline Jet operator*(const Jet& x, const Jet& y) {
  return {x.value * y.value, x.value * y.slope + x.slope * y.value,
          x.value * y.curvature + 2 * x.slope * y.slope + x.curvature * y.value};
}
inline Jet inverse(const Jet& x) {
  const auto r = 1 / x.value, slope = -x.slope * r * r;
  return {r, slope, -x.curvature * r * r - 2 * x.slope * slope * r};
}
inline Jet operator/(const Jet& x, const Jet& y) {
  return x * inverse(y);
}
/// log |x|.
inline Jet log(const Jet& x) {
  const auto slope = x.slope / x.value;
  return {std::log(std::fabs(x.value)), slope, x.curvature / x.value - slope * slope};
}

/// What pivots are chosen by, and numbers scaled by.
inline double magnitude(double x) {
  return std::fabs(x);
}
inline double magnitude(const Jet& x) {
  return std::fabs(x.value);
}

}  // namespace marginalia::planar
