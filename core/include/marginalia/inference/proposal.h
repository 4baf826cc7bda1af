#pragma once

#include <memory>

#include <marginalia/inference/any_order.h>
#include <marginalia/state_space.h>

namespace marginalia {

class Family;

/// Proposals q(u | x_S) of unknown variables, revealed in passes.
class MARGINALIA_API Proposal {
 public:
  virtual ~Proposal();
  virtual const StateSpace& space() const = 0;
  /// Draws the variables i with time[i] >= 0 in the order of time, those of one time independently;
  /// the others stay as they are.  partial: int64 [B, D]; time: int64 [D].
  virtual ChainSample draw(const Tensor& partial, const Tensor& time, Stream& stream) const = 0;
  /// log q of those variables as `states` has them: the law that draw() draws from.
  virtual ChainScore score(const Tensor& states, const Tensor& partial,
                           const Tensor& time) const = 0;
};

/// Makes the proposal of a family that offers its conditionals in one pass, normalised in float64.
/// Throws SpecError where it offers none.
MARGINALIA_API std::unique_ptr<Proposal> make_proposal(const Family& family);

}  // namespace marginalia
