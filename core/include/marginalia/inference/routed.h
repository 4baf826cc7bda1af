#pragma once

#include <string>

#include <marginalia/energy.h>
#include <marginalia/family.h>
#include <marginalia/stream.h>

namespace marginalia {

/// log-marginals in one pass, with what can be summed exactly taken away first.
///
/// Given x_S the unknown variables fall apart into components (conditioning.h). Those that are
/// narrow are completed by an exact draw u of their posterior, whose probability is known; the
/// network is asked about the fuller state:
///
///   log p(x_S) = log p(x_S, u) - log p(u | x_S)
///
/// Where all are narrow the network is asked about a full state, of which a model tied to its
/// energy knows all but log Z.
class MARGINALIA_API Routed {
 public:
  /// The estimator's name.
  static constexpr const char* kName = "routed";

  /// energy, family: outlive this. exact_width: log2 of the entries of the messages of a narrow
  /// component. Throws SpecError where the family has no log-marginals in one pass, or the energy
  /// no factors.
  Routed(const Family& family, const Energy& energy, double exact_width = 12);
  /// Why there is no such estimator; empty where there is one.
  static std::string obstacle(const Family& family, const Energy* energy);

  /// log p(x_Q | x_E) as Family::answer gives it; `given` may be undefined. [B, D] -> float64 [B].
  /// Throws ImpossibleGiven where a component shows that what is given has probability zero.
  Answer log_marginal(const Tensor& partial, const Tensor& given, Stream& stream) const;

 private:
  /// `partial` with narrow components drawn, log p(u | x_S), float64 [B], and where f is 0: bool
  /// [B].
  struct Completed {
    Tensor states, log_prob, impossible;
  };
  Completed complete(const Tensor& partial, Stream& stream) const;

  const Family& family_;
  const Energy& energy_;
  std::string estimator_;  ///< the family's, in one pass
  double exact_width_;
};

}  // namespace marginalia
