#pragma once

#include <memory>
#include <string>

#include <marginalia/oracle.h>

namespace marginalia {

class Energy;

/// The most states that enumeration takes on: 2^20.
inline constexpr std::int64_t kEnumerationLimit = std::int64_t{1} << 20;

/// Answers by listing all states, for any energy of at most kEnumerationLimit states. Keeps log f
/// of each state.
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
