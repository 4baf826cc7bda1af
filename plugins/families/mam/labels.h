#pragma once

#include <memory>

#include <marginalia/family.h>

#include "params.h"

namespace marginalia::mam {

/// What the conditionals are taught at a full state. x is a draw of p(. | x_S), so
/// p(x_i = k | all others) has the mean p(x_i = k | x_S): an unbiased label with less variance than
/// x_i alone (Rao-Blackwell).
class Labels {
 public:
  virtual ~Labels() = default;
  /// x: int64 [B, D]; unknown: bool [B, D]; log_p: [B, D, K], with the gradient
  ///   -> the cross-entropy of the unknown variables, less that of the labels themselves.
  virtual Tensor loss(Step& step, const Tensor& x, const Tensor& unknown,
                      const Tensor& log_p) const = 0;
};

/// Throws SpecError for soft labels without an energy, or of states that are not the target's.
std::unique_ptr<Labels> make_labels(const LabelParams& params, const Energy* energy,
                                    bool states_of_target);

}  // namespace marginalia::mam
