#pragma once

#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/family.h>

namespace marginalia {

/// A scalar whose gradient estimates that of KL(q || p), p = f / Z, from rows x ~ q:
///   grad KL = E_q[(c(x) - b) grad log q(x)],  c = log q(x) - log f(x),
/// where the baseline b of a row is the mean cost of the others, which leaves the estimate unbiased
/// and makes it vanish where q = p.  log_q has the gradient, cost (c) has none; both float [B], of
/// this process's share of the step's rows.
/// Source: Williams (1992), doi:10.1007/BF00992696; leave-one-out as in Kool, van Hoof, Welling
/// (2019), "Buy 4 REINFORCE samples, get a baseline for free!".
inline torch::Tensor reinforce(Step& step, const torch::Tensor& log_q, const torch::Tensor& cost) {
  const auto B = step.batch_size();
  if (B < 2) throw marginalia::SpecError("REINFORCE needs a \"batch_size\" of 2 at least");
  const auto sum = step.sum(cost.sum());
  if (torch::isinf(sum).item<bool>())
    throw marginalia::Error(
        "REINFORCE met a state that the energy forbids (log f = -inf), where KL(q || p) is "
        "infinite; give the energy a finite penalty, or take an objective that draws from it");
  const auto others = (sum - cost) / double(B - 1);
  return (log_q * (cost - others).to(log_q.options().requires_grad(false))).mean();
}

}  // namespace marginalia
