#include "skew.h"

#include <array>
#include <type_traits>

#include <marginalia/kernel.h>

namespace marginalia::planar {
namespace {

/// A matrix of numbers.
struct Plane {
  Skew<double>& matrix;

  double at(std::size_t i, std::size_t j) const { return matrix.row(i)[j]; }
  const double* values(std::size_t i) const { return matrix.row(i); }
  void exchange(std::size_t p, std::size_t q) { matrix.exchange(p, q); }
  void add_two_rows(std::size_t i, double pivot) {
    if (i + 2 < matrix.size())
      planar::add_two_rows(matrix.row(0), matrix.size(), matrix.row(i), matrix.row(i + 1), pivot,
                           i + 2);
  }
};

/// Jets side by side, plane by plane.
struct JetRows {
  double *value, *slope, *curvature;

  JetRows from(std::size_t place) const {
    return {value + place, slope + place, curvature + place};
  }
  Jet operator[](std::size_t l) const { return {value[l], slope[l], curvature[l]}; }
};

/// Rows behind u = row i and v = row i + 1 += x v - y u, of a matrix of n columns.
MARGINALIA_KERNEL void add_two_jet_rows(const JetRows& matrix, std::size_t n, std::size_t i,
                                        const Jet& scale) {
  const auto u = matrix.from(i * n), v = matrix.from((i + 1) * n);
  for (auto k = i + 2; k < n; ++k) {
    const auto row = matrix.from(k * n);
    const auto x = -(u[k] * scale), y = -(v[k] * scale);
#pragma GCC ivdep
    for (auto l = k + 1; l < n; ++l) {
      row.value[l] += x.value * v.value[l] - y.value * u.value[l];
      row.slope[l] += (x.value * v.slope[l] + x.slope * v.value[l]) -
                      (y.value * u.slope[l] + y.slope * u.value[l]);
      row.curvature[l] +=
          (x.value * v.curvature[l] + 2 * x.slope * v.slope[l] + x.curvature * v.value[l]) -
          (y.value * u.curvature[l] + 2 * y.slope * u.slope[l] + y.curvature * u.value[l]);
    }
  }
}

/// A matrix of jets as three of numbers, over which loops run side by side.
class Planes {
 public:
  explicit Planes(const Skew<Jet>& matrix) {
    planes_.fill(Skew<double>(matrix.size()));
    for (std::size_t i = 0; i < matrix.size(); ++i)
      for (auto j = i + 1; j < matrix.size(); ++j) {
        const auto& x = matrix.row(i)[j];
        planes_[0].row(i)[j] = x.value;
        planes_[1].row(i)[j] = x.slope;
        planes_[2].row(i)[j] = x.curvature;
      }
  }

  /// What stands from row and column `first` on goes back.
  void put_tail(Skew<Jet>& matrix, std::size_t first) const {
    for (auto i = first; i < matrix.size(); ++i)
      for (auto j = i + 1; j < matrix.size(); ++j)
        matrix.row(i)[j] = at(i, j);
  }

  Jet at(std::size_t i, std::size_t j) const {
    return {planes_[0].row(i)[j], planes_[1].row(i)[j], planes_[2].row(i)[j]};
  }
  const double* values(std::size_t i) const { return planes_[0].row(i); }
  void exchange(std::size_t p, std::size_t q) {
    for (auto& plane : planes_)
      plane.exchange(p, q);
  }
  void add_two_rows(std::size_t i, const Jet& pivot) {
    const JetRows rows{planes_[0].row(0), planes_[1].row(0), planes_[2].row(0)};
    add_two_jet_rows(rows, planes_[0].size(), i, inverse(pivot));
  }

 private:
  std::array<Skew<double>, 3> planes_;  // value, slope, curvature
};

template <class Real, class Rows>
Scaled<Real> eliminate_rows(Rows& rows, std::size_t count) {
  Scaled<Real> pfaffian;
  for (std::size_t i = 0; i < count; i += 2) {
    const auto* u = rows.values(i);
    auto best = i + 1;
    for (auto j = i + 2; j < count; ++j)
      if (magnitude(u[j]) > magnitude(u[best])) best = j;
    if (best != i + 1) {
      rows.exchange(i + 1, best);
      pfaffian *= Real(-1);
    }
    const auto pivot = rows.at(i, i + 1);
    if constexpr (std::is_same_v<Real, double>)
      if (pivot == 0) return {0, 0};  // so is all of its row
    pfaffian *= pivot;
    rows.add_two_rows(i, pivot);
  }
  return pfaffian;
}

}  // namespace

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

Scaled<double> eliminate(Skew<double>& matrix, std::size_t count) {
  Plane plane{matrix};
  return eliminate_rows<double>(plane, count);
}

Scaled<Jet> eliminate(Skew<Jet>& matrix, std::size_t count) {
  Planes planes(matrix);
  const auto pfaffian = eliminate_rows<Jet>(planes, count);
  planes.put_tail(matrix, count);
  return pfaffian;
}

}  // namespace marginalia::planar
