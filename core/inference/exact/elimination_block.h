#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "elimination_kernels.h"
#include "elimination_loop.h"

namespace marginalia::elimination {

/// Sums of products of values.
struct SumProduct {
  static constexpr double kOne = 1, kZero = 0;
  static double times(double a, double b) { return a * b; }
  static void multiply(double* out, const double* x, const double* y, std::int64_t n) {
    elimination::multiply(out, x, y, n);
  }
  static void take(double* out, double c, std::int64_t n) { add_constant(out, c, n); }
  static void take(double* out, double c, const double* x, std::int64_t n) {
    add_scaled(out, c, x, n);
  }
  static void take(double* out, double c, const double* x, const double* y, std::int64_t n) {
    add_product(out, c, x, y, n);
  }
};

/// Maxima of sums of logs.
struct MaxSum {
  static constexpr double kOne = 0, kZero = -std::numeric_limits<double>::infinity();
  static double times(double a, double b) { return a + b; }
  static void multiply(double* out, const double* x, const double* y, std::int64_t n) {
    add_into(out, x, y, n);
  }
  static void take(double* out, double c, std::int64_t n) { raise_constant(out, c, n); }
  static void take(double* out, double c, const double* x, std::int64_t n) {
    raise_shifted(out, c, x, n);
  }
  static void take(double* out, double c, const double* x, const double* y, std::int64_t n) {
    raise_sum(out, c, x, y, n);
  }
};

/// The sources of a step that have none of its outer variables, multiplied: a block for each value
/// of its variable. Empty where there are none.
template <class Algebra>
std::vector<double> inner_products(const StepLoop& loop, const std::vector<const double*>& tables) {
  const auto n = loop.inner;
  std::vector<double> products, gathered;
  for (std::size_t j = 0; j < loop.sources.size(); ++j) {
    const auto& source = loop.sources[j];
    if (source.reach != Reach::kInner) continue;
    if (products.empty()) {
      products.assign(std::size_t(n * loop.step.levels), Algebra::kOne);
      gathered.resize(std::size_t(n));
    }
    for (std::int64_t k = 0; k < loop.step.levels; ++k) {
      const auto* from = tables[j] + source.base + k * source.stride;
      if (!source.side_by_side) {
        gather(gathered.data(), from, source.places.data(), n);
        from = gathered.data();
      }
      auto* out = products.data() + k * n;
      Algebra::multiply(out, out, from, n);
    }
  }
  return products;
}

/// The product of a step's sources, one block and one value of its variable at a time. Each thread
/// has its own.
template <class Algebra>
class BlockProduct {
 public:
  /// tables: of the sources; inner: inner_products; unit: what each product is times.
  BlockProduct(const StepLoop& loop, const std::vector<const double*>& tables,
               const std::vector<double>& inner, double unit)
      : loop_(loop),
        tables_(tables),
        inner_(inner),
        unit_(unit),
        product_(std::size_t(loop.inner)) {
    for (std::size_t j = 0; j < loop.sources.size(); ++j) {
      const auto& source = loop.sources[j];
      if (source.reach == Reach::kOuter) outer_.push_back(j);
      if (source.reach != Reach::kBoth) continue;
      both_.push_back(j);
      gathered_.emplace_back(source.side_by_side ? 0 : std::size_t(loop.inner));
    }
  }

  /// Goes to value k where the walk is; false where all of it is zero.
  bool go_to(const BlockWalk& walk, std::int64_t k) {
    scalar_ = unit_;
    for (const auto j : outer_)
      scalar_ = Algebra::times(scalar_, tables_[j][walk.at(j) + k * loop_.sources[j].stride]);
    if (scalar_ == Algebra::kZero) return false;
    parts_.clear();
    if (!inner_.empty()) parts_.push_back(inner_.data() + k * loop_.inner);
    for (std::size_t b = 0; b < both_.size(); ++b) {
      const auto& source = loop_.sources[both_[b]];
      const auto* from = tables_[both_[b]] + walk.at(both_[b]) + k * source.stride;
      if (!source.side_by_side) {
        gather(gathered_[b].data(), from, source.places.data(), loop_.inner);
        from = gathered_[b].data();
      }
      parts_.push_back(from);
    }
    return true;
  }

  /// Takes the product into `out`: adds it, or raises to it.
  void take_into(double* out) {
    const auto n = loop_.inner;
    if (parts_.empty()) return Algebra::take(out, scalar_, n);
    const auto* first = multiplied();
    if (parts_.size() == 1) return Algebra::take(out, scalar_, first, n);
    Algebra::take(out, scalar_, first, parts_.back(), n);
  }
  /// out = the product times `weight`  -> the sum of it. Of sums alone.
  double weighted(const double* weight, double* out) {
    const auto n = loop_.inner;
    if (parts_.empty()) return multiply_and_sum(out, scalar_, ones(), weight, n);
    const auto* first = multiplied();
    if (parts_.size() == 1) return multiply_and_sum(out, scalar_, first, weight, n);
    return multiply_and_sum(out, scalar_, first, parts_.back(), weight, n);
  }

 private:
  /// The product of all parts but the last, of the last where it is alone.
  const double* multiplied() {
    const auto end = parts_.size() - 1;
    if (end <= 1) return parts_[0];
    Algebra::multiply(product_.data(), parts_[0], parts_[1], loop_.inner);
    for (std::size_t p = 2; p < end; ++p)
      Algebra::multiply(product_.data(), product_.data(), parts_[p], loop_.inner);
    return product_.data();
  }

  const double* ones() {
    std::fill(product_.begin(), product_.end(), 1.0);
    return product_.data();
  }

  const StepLoop& loop_;
  const std::vector<const double*>& tables_;
  const std::vector<double>& inner_;
  double unit_, scalar_ = Algebra::kOne;
  std::vector<std::size_t> outer_, both_;
  std::vector<const double*> parts_;
  std::vector<std::vector<double>> gathered_;
  std::vector<double> product_;
};

}  // namespace marginalia::elimination
