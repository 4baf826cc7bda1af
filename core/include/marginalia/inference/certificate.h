#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include <marginalia/json.h>
#include <marginalia/tensor.h>

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

struct CertifySettings {
  double confidence = 0.95;
  double width = 0.1;              ///< nats at which sampling stops; 0: never
  double seconds = 0;              ///< at which it stops; 0: never
  std::int64_t samples = 1 << 13;  ///< of each side at which it stops
  /// log2 of the entries of a message up to which unknown variables are summed out exactly (binary
  /// variables: induced width), and beyond it where half the time limit allows to sum out all of
  /// them; 0: none are, chains go on to full states.
  double exact_width = 12;
  /// The number of particles of twisted sequential Monte Carlo, whose twist is the one-pass
  /// marginals. It is used once the variance of the log weights of single chains is above 2; 0:
  /// never.
  std::int64_t particles = 16;
  double base_seconds = 20;  ///< for log Z, once
  std::int64_t base_samples = 1 << 12;
  Tensor colours = {};  ///< Network::colours() where it has some: passes without a loss
};

}  // namespace marginalia
