#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "jet.h"

namespace marginalia::planar {

/// value = sign exp(log), kept so that it neither overflows nor underflows. In jets `unit` is what
/// the exponential leaves: value = unit exp(log), |unit| near 1 unless the value vanishes.
template <class Real>
struct Scaled {
  Real unit{1};
  double log = 0;

  Scaled& operator*=(const Real& x) {
    unit = unit * x;
    rescale();
    return *this;
  }
  Scaled& operator*=(const Scaled& x) {
    unit = unit * x.unit;
    log += x.log;
    rescale();
    return *this;
  }

 private:
  void rescale() {
    const auto size = magnitude(unit);
    if (size > 1e-30 && size < 1e30) return;
    if (!(size > 0) || !std::isfinite(size)) return;
    unit = unit * Real(1 / size);
    log += std::log(size);
  }
};

/// A skew-symmetric matrix; what is on the diagonal and below is not kept.
template <class Real>
class Skew {
 public:
  Skew() = default;
  explicit Skew(std::size_t n) : n_(n), values_(n * n) {}

  std::size_t size() const { return n_; }
  Real* row(std::size_t i) { return values_.data() + i * n_; }
  const Real* row(std::size_t i) const { return values_.data() + i * n_; }
  Real at(std::size_t i, std::size_t j) const {
    return i < j ? row(i)[j] : i > j ? -row(j)[i] : Real(0);
  }
  void set(std::size_t i, std::size_t j, const Real& value) {
    if (i < j)
      row(i)[j] = value;
    else
      row(j)[i] = -value;
  }
  void add(std::size_t i, std::size_t j, const Real& value) { set(i, j, at(i, j) + value); }

  /// Exchanges two rows and their columns, p < q.
  void exchange(std::size_t p, std::size_t q) {
    using std::swap;
    for (std::size_t k = 0; k < p; ++k)
      swap(row(k)[p], row(k)[q]);
    for (auto k = p + 1; k < q; ++k) {
      const auto kept = row(p)[k];
      row(p)[k] = -row(k)[q];
      row(k)[q] = -kept;
    }
    row(p)[q] = -row(p)[q];
    for (auto k = q + 1; k < n_; ++k)
      swap(row(p)[k], row(q)[k]);
  }

  /// The part from row and column `first` on.
  Skew tail(std::size_t first) const {
    Skew result(n_ - first);
    for (auto i = first; i < n_; ++i)
      std::copy(row(i) + i, row(i) + n_, result.row(i - first) + (i - first));
    return result;
  }

 private:
  std::size_t n_ = 0;
  std::vector<Real> values_;
};

/// row_l += x v_l - y u_l  with  x = -u_k / pivot, y = -v_k / pivot  for rows k = begin .. end of a
/// matrix of n columns.
void add_two_rows(double* matrix, std::size_t n, const double* u, const double* v, double pivot,
                  std::size_t begin);

/// Eliminates the first `count` rows and columns, an even number, by skew pairs with the largest
/// pivot of a row (Wimmer 2012, doi:10.1145/2331130.2331138). What is left stands behind them: the
/// Schur complement.
/// -> the Pfaffian of the part that was eliminated; of doubles 0 where a row vanishes: nothing is
/// left then.
Scaled<double> eliminate(Skew<double>& matrix, std::size_t count);
Scaled<Jet> eliminate(Skew<Jet>& matrix, std::size_t count);

/// Glues half-edges i and i + 1, the first that are left, by a bond of weight (1, tau); `sign` is
/// that of the bond between them.  -> what E is multiplied by
inline double pin(Skew<double>& matrix, std::size_t i, double tau, double sign) {
  auto* u = matrix.row(i);
  for (auto l = i + 1; l < matrix.size(); ++l)
    u[l] *= tau;
  u[i + 1] += sign;
  if (i + 2 < matrix.size())
    add_two_rows(matrix.row(0), matrix.size(), u, matrix.row(i + 1), u[i + 1], i + 2);
  return sign * u[i + 1];
}

template <class Real>
Scaled<Real> pfaffian(Skew<Real> matrix) {
  return eliminate(matrix, matrix.size());
}

}  // namespace marginalia::planar
