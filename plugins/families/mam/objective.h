#pragma once

#include <memory>

#include <marginalia/family.h>

#include "heads.h"
#include "params.h"
#include "training_states.h"

namespace marginalia::mam {

/// What a marginalization model minimises.
class Objective {
 public:
  explicit Objective(const Heads& heads) : heads_(heads) {}
  virtual ~Objective() = default;
  /// Takes a step on full states x, int64 [B, D], drawn from `source`.
  virtual void step(Step& step, const Tensor& x, TrainingStates& source) const = 0;

 protected:
  const Heads& heads_;
};

/// Each throws SpecError for what its parameters need and the context, the networks or the source
/// of states have not.
std::unique_ptr<Objective> make_objective(const DenoisingParams& params, const Heads& heads,
                                          const FamilyContext& context, bool states_of_target);
std::unique_ptr<Objective> make_objective(const ConsistencyParams& params, const Heads& heads);
std::unique_ptr<Objective> make_objective(const ParticleParams&, const Heads& heads);
std::unique_ptr<Objective> make_objective(const KlPenaltyParams& params, const Heads& heads);

/// R at one link of each row of full states: what objectives at links have in common.
struct AtLinks {
  Tensor pair;    ///< int64 [2B, D], both ends of the links
  Tensor log_p;   ///< log-conditionals of both, [2B, D, K]
  Tensor square;  ///< mean of R^2, a scalar
};
/// size_power: of draw_links; couple: whether R^2 has a gradient in the conditionals too. The
/// causal network, where there is one, learns from the pair.
AtLinks residual_at_links(Step& step, const Heads& heads, const Tensor& states, double size_power,
                          bool couple);

}  // namespace marginalia::mam
