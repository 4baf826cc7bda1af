#pragma once

#include <mutex>
#include <optional>
#include <string>

#include <marginalia/api.h>
#include <marginalia/component.h>
#include <marginalia/state_space.h>
#include <marginalia/stream.h>

namespace marginalia {

/// Mean and variance of log f(x) under p. With log f = -E / T, minus the mean is the energy and the
/// variance the heat capacity, both in units of T and of the whole system.
struct LogDensityMoments {
  double mean;      ///< nats
  double variance;  ///< nats^2
};

/// Exact answers about p(x) = f(x) / Z. A new oracle writes one function, `compute_log_sum`.
class MARGINALIA_API Oracle {
 public:
  virtual ~Oracle();
  virtual const StateSpace& space() const = 0;
  virtual std::string method() const = 0;  ///< "enumeration", "transfer matrix"

  /// log sum of f over the completions of each row.  partial: int64 [B, D]  ->  float64 [B], nats.
  Tensor log_sum(const Tensor& partial) const;
  double log_z() const;                              ///< computed once
  Tensor log_marginal(const Tensor& partial) const;  ///< log p(x_S): log_sum - log Z
  /// p(x_i = k | known), evidence as point masses.  partial: int64 [D]  ->  float64 [D, K].
  Tensor single_marginals(const Tensor& partial) const;
  /// Exact posterior samples: each row completed.  partial: int64 [B, D]  ->  int64 [B, D].
  Tensor sample(const Tensor& partial, Stream& stream) const;

  /// Which rows it can sum: bool [B]. All of them unless it says otherwise; log_sum throws Error,
  /// saying why, for one that it cannot.  partial: int64 [B, D].
  virtual Tensor can_sum(const Tensor& partial) const;
  /// Sets of variables that it can sum, of the sizes of those given where it can: each set itself
  /// unless it cannot.  known: bool [B, D]  ->  bool [B, D].
  virtual Tensor nearest_sets(const Tensor& known, Stream& stream) const;
  /// Decimal digits of Z that rounding leaves, -log10 of the error of log Z in nats; none where no
  /// more than the last few are ever lost.
  virtual std::optional<double> digits() const;
  /// None where they would take more than sums.
  virtual std::optional<LogDensityMoments> log_density_moments() const;

 protected:
  /// Draws one variable after the other, each from its exact conditional; override where there is a
  /// better way.
  virtual Tensor compute_sample(const Tensor& partial, Stream& stream) const;
  /// Computes them from the log sums of every value of every unknown variable; override where there
  /// is a better way.
  virtual Tensor compute_single_marginals(const Tensor& partial) const;

 private:
  virtual Tensor compute_log_sum(const Tensor& partial) const = 0;
  mutable std::once_flag summed_;
  mutable double log_z_ = 0;
};

}  // namespace marginalia
