#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <marginalia/component.h>
#include <marginalia/factors.h>
#include <marginalia/oracle.h>
#include <marginalia/posterior.h>
#include <marginalia/state_space.h>
#include <marginalia/state_text.h>

namespace marginalia {

/// The factors around one variable at a time: what single-site samplers need, and what a network
/// can take as its physics prior.
///
/// For log f(x) = sum_a phi_a(x_a), a running over factors.
class MARGINALIA_API LocalConditionals {
 public:
  virtual ~LocalConditionals();

  /// l[b, i, k] = sum of the factors that contain variable i and whose other variables are all
  /// known, at x_i = k. Where every other variable is known, softmax_k l is p(x_i = k | x_{-i}).
  /// partial: int64 [B, D]  ->  float32 [B, D, K], nats.
  virtual Tensor logits(const Tensor& partial) const = 0;

  /// Sum of the factors whose variables are all known: log f(x) at a full state.
  /// partial: int64 [B, D]  ->  float64 [B], nats.
  virtual Tensor known_part(const Tensor& partial) const = 0;

  /// A colour for each variable, int64 [D] from 0: variables of one colour share no factor, so a
  /// Gibbs sweep may redraw them together.
  virtual const Tensor& colours() const = 0;
};

/// A density made of factors on one and two variables:
///   log f(x) = sum_i u_i(x_i) + sum_e w_e(x_{i_e}, x_{j_e}).
/// What belief propagation needs (inference/belief_propagation.h).
struct PairwiseFactors {
  Tensor unary;  ///< float32 [D, K], nats
  Tensor edges;  ///< int64 [E, 2], i < j, no pair twice
  Tensor pairs;  ///< float32 [E, K, K], nats
};

/// log Z where it is known though no other exact answer is.
struct KnownLogZ {
  double value;        ///< nats
  double error = 0;    ///< nats; 0 where it is exact
  std::string method;  ///< "Kaufman's closed form"
};

/// One number g that an energy says of each state, and what is wanted of it.
struct Score {
  std::string name;                   ///< "logp"
  Tensor values;                      ///< float64 [B]; NaN where a state has none
  std::string unit = {};              ///< "g/mol"; empty where it has none
  std::optional<double> target = {};  ///< wanted of g
  std::optional<double> spread = {};  ///< s > 0, where f has a factor exp(-(g - target)^2 / 2 s^2)
};

/// States as people read them, and the score before a temperature was applied.
class MARGINALIA_API Readable {
 public:
  virtual ~Readable();
  virtual std::string to_text(const Tensor& state) const = 0;
  virtual Tensor raw_score(const Tensor& x) const = 0;  ///< float64 [B]

  // What may be said beyond that.
  /// The state that a text names: int64 [D], kUnknown for what is unknown. Reads what to_text
  /// writes, at least of partial states. Throws SpecError, saying at which character; by default,
  /// that texts are not read.
  virtual Tensor from_text(const PartialText& text) const;
  /// A drawing of a state: a whole SVG document, or empty (the default) where there is none.
  virtual std::string to_svg(const Tensor& state) const;
  /// The numbers that the score is made of; by default raw_score alone.
  virtual std::vector<Score> scores(const Tensor& x) const;
};

/// A density on a StateSpace, known up to a constant:  p(x) = f(x) / Z.
///
/// Shapes: B states in a batch, D variables, K levels.
class MARGINALIA_API Energy : public Component {
 public:
  using Interface = Energy;
  using Context = NoContext;
  static constexpr const char* kKind = "energy";

  ~Energy() override;
  virtual const StateSpace& space() const = 0;

  /// log f(x), nats; -inf is a forbidden state, NaN and +inf are refused.
  /// x: int64 [B, D]  ->  float64 [B], on the device of x. May be called from several threads.
  Tensor log_density(const Tensor& x) const;

  // What an energy may offer beyond that. The reason says why not.
  virtual Offer<Oracle> exact() const;
  virtual Offer<LocalConditionals> local() const;
  virtual Offer<PairwiseFactors> pairwise() const;
  virtual Offer<FactorModel> factors() const;
  /// Factors that are -inf nowhere but where log f is: what tells which states are forbidden. Those
  /// of factors() unless an energy knows some that has none.
  virtual Offer<FactorModel> constraints() const;
  virtual Offer<Readable> readable() const;
  /// Exact posterior samples, where there is a way that exact() is not. Asked before exact().
  virtual Offer<PosteriorSampler> posterior() const;
  /// Asked where exact() offers nothing.
  virtual std::optional<KnownLogZ> known_log_z() const;

 private:
  /// The formula alone: `log_density` has checked x, and checks what comes back.
  virtual Tensor compute_log_density(const Tensor& x) const = 0;
};

/// The state that a text names, as the energy reads it or else its space.  -> int64 [D]
MARGINALIA_API Tensor state_of_text(const Energy& energy, const PartialText& text);

/// An energy whose use is counted: the budget axis on which samplers are compared. In training it
/// may be annealed: then f^b is seen in place of f.
class MARGINALIA_API MeteredEnergy {
 public:
  explicit MeteredEnergy(const Energy& energy) : energy_(energy) {}
  const Energy& energy() const { return energy_; }  ///< f, whatever b

  Tensor log_density(const Tensor& x);  ///< b log f(x); counts B
  /// b > 0, of the schedule training.anneal. What is read past log_density, as by Gibbs sweeps, has
  /// to follow it.
  double inverse_temperature() const { return inverse_temperature_; }
  void set_inverse_temperature(double b) { inverse_temperature_ = b; }
  void count(std::int64_t evaluations) { evaluations_ += evaluations; }  ///< made by a sampler
  std::int64_t evaluations() const { return evaluations_; }
  void set_evaluations(std::int64_t count) { evaluations_ = count; }

 private:
  const Energy& energy_;
  double inverse_temperature_ = 1;
  std::atomic<std::int64_t> evaluations_{0};
};

}  // namespace marginalia
