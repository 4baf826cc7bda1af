#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <marginalia/factors.h>
#include <marginalia/oracle.h>

namespace marginalia {

/// Exact answers about a density made of factors, by summing variables out one after the other.
///
/// Variable v, with S the others it shares a factor or a message with (t_j all of them):
///   m_v(S) = log sum_v exp sum_j t_j(S, v);  log Z is the sum of the messages to nobody
///   p(v | S) = exp(sum_j t_j(S, v) - m_v(S)),
/// so that samples, and the marginals of all variables at once, come from one pass the other way.
/// Evidence takes its variables out before the order is chosen. Messages are float64 with a scale
/// each, wherever no product of theirs can underflow, and logs elsewhere. Source: Dechter (1999),
/// doi:10.1016/S0004-3702(99)00059-4 (bucket elimination).
class MARGINALIA_API Elimination final : public Oracle {
 public:
  Elimination(FactorModel model, StateSpace space);
  ~Elimination() override;

  /// Why no answers can be given within `memory` GiB: the induced width, and what it would take;
  /// empty where they can.
  std::string obstacle(double memory) const;

  const StateSpace& space() const override { return space_; }
  std::string method() const override { return "variable elimination"; }

 private:
  Tensor compute_log_sum(const Tensor& partial) const override;
  Tensor compute_single_marginals(const Tensor& partial) const override;
  Tensor compute_sample(const Tensor& partial, Stream& stream) const override;

  class Impl;
  StateSpace space_;
  std::unique_ptr<Impl> impl_;
};

/// Elimination as an energy that has factors offers it: planned when it is first asked for.
class MARGINALIA_API ByElimination {
 public:
  /// memory: GiB that exact answers may take.
  explicit ByElimination(double memory) : memory_(memory) {}
  /// The answers about `model`, the same at every call; or the reason why there are none.
  Offer<Oracle> oracle(const FactorModel& model, const StateSpace& space) const;

 private:
  double memory_;
  mutable std::once_flag planned_;
  mutable std::unique_ptr<Elimination> elimination_;
  mutable std::string obstacle_;
};

}  // namespace marginalia
