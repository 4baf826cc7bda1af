#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <marginalia/dataset.h>
#include <marginalia/energy.h>
#include <marginalia/family.h>
#include <marginalia/network.h>

namespace marginalia {

/// What an energy or an exact model says of a partial state before anything is learned; a network
/// learns the rest.
struct Prior {
  Tensor logits;        ///< float32 [B, D, K], of p(x_i | x_S)
  Tensor log_marginal;  ///< float32 [B], of log f(x_S); exact at full states
  /// float32 [B, D]: 1 where the prior may be wrong. It is exact where none is.
  Tensor uncertain;
};

/// A source of priors.
class MARGINALIA_API PriorSource {
 public:
  virtual ~PriorSource();
  /// partial: int64 [B, D]; wanted: the heads that it is for. Without kLogMarginal among them
  /// `log_marginal` may be undefined.
  virtual Prior of(const Tensor& partial, HeadSet wanted) const = 0;
  /// How many factors away the logits of a variable, and `uncertain`, can see.
  virtual std::int64_t reach() const = 0;
};

/// A prior from LocalConditionals, in which unknown neighbours contribute nothing:
///   logits = l,  log marginal = known part + sum over unknown i of logsumexp_k l_ik.
/// Exact where no two unknown variables share a factor. Throws SpecError where the energy has none.
MARGINALIA_API std::unique_ptr<PriorSource> local_prior(const Energy& energy);

/// A prior from PairwiseFactors of binary variables, or else from factors of any kind: belief
/// propagation on the unknown variables (Pearl 1988) and the Bethe free energy of its messages
/// (Yedidia, Freeman and Weiss 2005, eq. 20 at a fixed point). It is exact where the unknown
/// variables form a forest of depth at most `rounds`; `uncertain` marks their 2-core (for factors
/// other than binary pairs: all of them). Throws SpecError where the energy has no factors.
MARGINALIA_API std::unique_ptr<PriorSource> belief_propagation_prior(const Energy& energy,
                                                                     std::int64_t rounds);

/// The tree of Chow and Liu (tree.h) fitted to the training split: what it says is exact of the
/// tree, and may be wrong of the data everywhere.
MARGINALIA_API std::unique_ptr<PriorSource> chow_liu_prior(const Dataset& dataset);

/// What an exact family says: its conditionals, and its log-marginals. Throws SpecError where it
/// does not answer both in one pass.
MARGINALIA_API std::unique_ptr<PriorSource> family_prior(const Family& family);

/// The prior that a network's spec names: "local", "belief_propagation", "chow_liu" or "family".
/// Throws SpecError where the experiment's energy, dataset or prior cannot give it.
MARGINALIA_API std::unique_ptr<PriorSource> make_prior(const NetworkContext& context,
                                                       const std::string& name,
                                                       std::int64_t rounds);

}  // namespace marginalia
