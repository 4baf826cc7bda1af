#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>

#include "params.h"

namespace marginalia::mam {

/// Where the full states that training sees come from.
class TrainingStates {
 public:
  virtual ~TrainingStates() = default;
  /// -> int64 [rows, D], on the CPU, without a gradient; the same on all ranks, of which each has
  /// drawn its share.
  Tensor draw_some(Step& step, std::int64_t rows, const LogConditionals& model) {
    const torch::NoGradGuard no_grad;
    return draw(step, rows, model);
  }
  /// Whether the states follow the energy's own law, as chains that leave it invariant do.
  virtual bool is_of_target() const { return false; }
  /// How many of `rows` states come from chains of the model where R^2 is asked for.
  virtual std::int64_t on_policy_rows(std::int64_t /*rows*/) const { return 0; }
  /// x with the last on_policy_rows() of its rows from those; of each share, where ranks have one.
  virtual Tensor with_on_policy(Step&, const Tensor& x, const LogConditionals&) { return x; }
  virtual void visit(StateVisitor&) {}
  virtual std::vector<std::string> warnings() const { return {}; }  ///< as Family::warnings

 protected:
  virtual Tensor draw(Step& step, std::int64_t rows, const LogConditionals& model) = 0;
};

/// Throws SpecError for what the parameters need and the context has not.
std::unique_ptr<TrainingStates> make_source(const States& params, const FamilyContext& context);

}  // namespace marginalia::mam
