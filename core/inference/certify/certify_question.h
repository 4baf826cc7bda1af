#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <marginalia/energy.h>
#include <marginalia/family.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/proposal.h>

namespace marginalia::certify {

/// Nats that float32 conditionals may move one log-probability by.
constexpr double kConditionalsRounding = 1e-6;

/// What answers are certified of: the density f, and the proposal that reveals its variables.
struct Subject {
  const Family* family;  ///< null where the proposal came without one
  const Energy* energy;  ///< f; null: the family's own joint along the forward order
  const Proposal& proposal;
  double exact_width;  ///< CertifySettings::exact_width
};

/// log f(x_S) itself.
struct ExactSum {
  double value;
  double rounding = 0;  ///< nats that float32 conditionals may have moved it by
};

/// A graph of the unknown variables, in which those that share a factor are neighbours.
struct UnknownGraph {
  Neighbours neighbours;             ///< of every unknown variable, by place
  std::vector<std::int64_t> places;  ///< of those that chains reveal
};

/// log f(x_S) as a sum over the unknown variables: over `open` by chains, over the rest exactly.
struct SampledSum {
  Tensor state;                    ///< int64 [D]
  std::vector<std::int64_t> open;  ///< variables that chains reveal
  /// The log of the sum of f over all other variables, for states in which `open` are known.
  /// [B, D] -> float64 [B]
  std::function<Tensor(const Tensor&)> log_sum;
  std::string route = "network";            ///< Certificate::route
  std::optional<UnknownGraph> graph = {};   ///< none: not known
  double passes = 0;                        ///< of the network, a row of log_sum
  double rounding = kConditionalsRounding;  ///< nats that float32 conditionals may move log_sum by
};

/// log f(x_S) of one partial state: known, or left to sample.
using Question = std::variant<ExactSum, SampledSum>;

/// x: int64 [D]; seconds: the budget, half of which may go into exact sums.
Question make_question(const Subject& subject, const Tensor& x, double seconds);

/// When to reveal what: levels that take ever more passes and lose ever less of the dependence
/// among what shares one. The level is chosen by the variance that was seen of the weights.
class RevealSchedule {
 public:
  static constexpr std::int64_t kSpacings[] = {2, 3, 4, 6, 0};  ///< links apart; 0: each by itself
  static constexpr std::size_t kLevels = std::size(kSpacings);

  explicit RevealSchedule(Tensor colours) : colours_(std::move(colours)) {}
  /// A level for the next samples, before they are drawn.
  std::size_t choose(const SampledSum& sum, double needed) const;
  void saw(std::size_t level, const Tensor& log_weight);
  double log_variance() const { return log_variance_; }  ///< of the log weights seen last
  /// time[i] >= 0 for what is revealed, -1 for the rest: int64 [D].
  Tensor times(const SampledSum& sum, std::size_t level) const;

 private:
  double count(const SampledSum& sum, std::size_t level) const;
  Tensor colours_;
  double variance_[kLevels] = {}, weight_[kLevels] = {};  // relative variance, samples
  double log_variance_ = 0;
};

}  // namespace marginalia::certify
