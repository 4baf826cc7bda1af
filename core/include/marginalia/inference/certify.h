#pragma once

#include <memory>

#include <marginalia/inference/certificate.h>
#include <marginalia/inference/proposal.h>

namespace marginalia {

class Energy;

/// Certifies answers of a model about a density f, log f hard-coded at full states.
///
/// For any partial state x_S, u its unknown variables and q(u | x_S) a proposal from the model's
/// conditionals along an order:
///
///   E_{u ~ q}[f(x_S, u) / q(u | x_S)]             = f(x_S)
///   E_{u ~ p(. | x_S)}[q(u | x_S) / f(x_S, u)]    = 1 / f(x_S)
///
/// (each at most that, where q misses a state of f). Both are means of non-negative numbers, so
/// that a betting bound (betting.h) on each gives a lower and an upper bound of log f(x_S) at any
/// time one stops. With F the one-pass marginal and R its one-step residuals, log(f/q) = F(x_S) -
/// sum_t R_t: the bounds are those of the error of F, but do not depend on F. The second needs
/// exact posterior samples (exact_posterior.h); without them there is the lower side alone. Where
/// f has factors, u are only the variables of a cutset (conditioning.h): what then falls apart into
/// narrow components is summed out exactly. log p(x_S) and log p(x_Q | x_E) are differences of two
/// such intervals, which share 1 - confidence.
///
/// How many variables are revealed in one pass, and whether chains are single or a swarm of
/// particles that the one-pass marginals steer, is chosen by the variance seen so far, which leaves
/// the means what they are.
class MARGINALIA_API Certifier {
 public:
  /// energy: f, outlives this; null: the model's own joint along the forward order is f, log Z = 0.
  Certifier(const Family& family, const Energy* energy, CertifySettings settings);
  Certifier(std::unique_ptr<Proposal> proposal, const Energy& energy, CertifySettings settings);
  ~Certifier();

  /// log p(x_Q | x_E); x holds x_Q and x_E, `given` x_E alone, or undefined.  x, given: int64 [D].
  /// What x says must be settled before `stream` is drawn from. Throws ImpossibleGiven where the
  /// sum over what is given is exact, and 0.
  Certificate certify(const Tensor& x, const Tensor& given, Stream& stream);
  /// log f(x_S).
  Certificate certify_sum(const Tensor& x, Stream& stream);
  /// log Z, computed once; its share of 1 - confidence is a tenth.
  const Certificate& log_z(Stream& stream);
  bool has_log_z() const;
  void set_log_z(const Certificate& certificate);  ///< one kept from before, of this confidence

  /// Forgets how uneven the weights of earlier questions were, which chooses how the next is
  /// sampled; log Z stays.
  void forget();

  const CertifySettings& settings() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace marginalia
