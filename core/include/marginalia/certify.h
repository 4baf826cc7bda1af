#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include <marginalia/any_order.h>
#include <marginalia/energy.h>
#include <marginalia/family.h>
#include <marginalia/posterior_source.h>
#include <marginalia/spec.h>

namespace marginalia {

/// An interval that holds the true log p(x_S), or log f(x_S), with probability `confidence`.
struct MARGINALIA_API Certificate {
  double log_marginal = NAN;  ///< the best single number, nats; NaN: none
  double lower = -std::numeric_limits<double>::infinity();  ///< -inf: none, or log 0 itself
  double upper = std::numeric_limits<double>::infinity();   ///< +inf: none
  double confidence = 1;
  double passes = 0;         ///< network passes of one row, all together
  std::string route;         ///< "exact", "network", or "mixed": chains up to where sums are exact
  std::string upper_by;      ///< how posterior samples were had: "coupling from the past"
  std::string stopped;       ///< "width", "seconds", "samples"; empty where nothing was sampled
  std::string reason;        ///< why a side is missing; empty where none is
  std::int64_t samples = 0;  ///< of the side that has fewer
  double seconds = 0;

  bool exact() const { return route == "exact"; }  ///< to rounding
  double width() const { return upper == lower ? 0 : upper - lower; }
  bool holds(double value) const { return lower <= value && value <= upper; }
  /// {"log_marginal", "lower", "upper", "confidence", "passes", "route", ...}; null where a side is
  /// missing, "-inf" for log 0.
  Json to_json() const;
  static Certificate from_json(const Json& json);
};

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

/// From a family that offers its conditionals in one pass, normalised in float64. Throws SpecError
/// where it offers none.
MARGINALIA_API std::unique_ptr<Proposal> proposal_of(const Family& family);

struct CertifySettings {
  double confidence = 0.95;
  double width = 0.1;              ///< nats at which sampling stops; 0: never
  double seconds = 0;              ///< at which it stops; 0: never
  std::int64_t samples = 1 << 13;  ///< of each side at which it stops
  /// log2 of the entries of a message up to which unknown variables are summed out exactly (binary
  /// variables: induced width), and beyond it where half the time limit allows to sum out all of
  /// them; 0: none are, chains go on to full states.
  double islands = 12;
  /// Of twisted sequential Monte Carlo, with the one-pass marginals as twist, once the variance of
  /// log weights of single chains is above 2; 0: never.
  std::int64_t particles = 16;
  double base_seconds = 20;  ///< for log Z, once
  std::int64_t base_samples = 1 << 12;
  Tensor colours = {};  ///< Network::colours() where it has some: passes without a loss
};

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
/// exact posterior samples (posterior_source.h); without them there is the lower side alone. Where
/// f has factors, u are only the variables of a cutset (islands.h): what then falls apart into
/// narrow islands is summed out exactly. log p(x_S) and log p(x_Q | x_E) are differences of two
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
  /// What x says must be settled before `stream` is drawn from.
  Certificate certify(const Tensor& x, const Tensor& given, Stream& stream);
  /// log f(x_S).
  Certificate certify_sum(const Tensor& x, Stream& stream);
  /// log Z, computed once; its share of 1 - confidence is a tenth.
  const Certificate& log_z(Stream& stream);
  bool has_log_z() const { return log_z_.has_value(); }
  void set_log_z(const Certificate& certificate);  ///< one kept from before, of this confidence

  /// Forgets how uneven the weights of earlier questions were, which chooses how the next is
  /// sampled; log Z stays.
  void forget();

  const CertifySettings& settings() const { return settings_; }

 private:
  struct Question;
  struct Budget;
  class Passes;
  class Sampling;
  Question ask(const Tensor& x, double seconds) const;
  Question ask_factors(const FactorModel& model, const Tensor& x, double seconds) const;
  Question ask_model(const Tensor& x) const;
  Certificate sum(const Tensor& x, const Budget& budget, Stream& stream);

  CertifySettings settings_;
  const Family* family_ = nullptr;
  const Energy* energy_;
  std::unique_ptr<Proposal> proposal_;
  std::unique_ptr<PosteriorSource> posteriors_;
  std::unique_ptr<Passes> passes_;
  std::function<Tensor(const Tensor&)> twist_;  // the one-pass marginals; empty: none
  std::optional<Certificate> log_z_;
};

}  // namespace marginalia
