#pragma once

#include <memory>
#include <optional>
#include <string>

#include <marginalia/api.h>
#include <marginalia/component.h>
#include <marginalia/state_space.h>
#include <marginalia/stream.h>

namespace marginalia {

class Energy;

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

 protected:
  /// One variable after the other, each from its exact conditional; override where there is better.
  virtual Tensor compute_sample(const Tensor& partial, Stream& stream) const;
  /// From the log sums of every value of every unknown variable; override where there is better.
  virtual Tensor compute_single_marginals(const Tensor& partial) const;

 private:
  virtual Tensor compute_log_sum(const Tensor& partial) const = 0;
  mutable std::optional<double> log_z_;
};

/// The most states that enumeration takes on: 2^20.
inline constexpr std::int64_t kEnumerationLimit = std::int64_t{1} << 20;

/// By listing all states: any energy of at most kEnumerationLimit states. Keeps log f of each.
class MARGINALIA_API EnumerationOracle final : public Oracle {
 public:
  /// Throws Error, giving the cost, when there are too many states.
  explicit EnumerationOracle(const Energy& energy);
  const StateSpace& space() const override { return space_; }
  std::string method() const override { return "enumeration"; }

 private:
  Tensor compute_sample(const Tensor& partial, Stream& stream) const override;
  Tensor compute_log_sum(const Tensor& partial) const override;
  StateSpace space_;
  Tensor log_density_;  // float64 [K_1, ..., K_D]
};

/// Every state of a small space in counting order, the last variable fastest: int64 [prod K_i, D].
MARGINALIA_API Tensor all_states(const StateSpace& space);

/// The energy's own oracle, or enumeration where the space is small, or the reason for neither.
class MARGINALIA_API ExactAnswers {
 public:
  explicit ExactAnswers(const Energy& energy);
  Offer<Oracle> oracle() const { return offer_; }

 private:
  std::unique_ptr<Oracle> owned_;
  Offer<Oracle> offer_;
};

}  // namespace marginalia
