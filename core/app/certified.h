#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <marginalia/inference/conformal.h>

#include "cli.h"

namespace marginalia::app {

/// Answers each line of `input` with an interval that holds log p(x_S). What log Z's own interval
/// cost is kept in certified_log_z.json of the run, and used again.
void certified_marginals(Session& session, OpenRun& run, const std::string& input,
                         const CertifyArguments& arguments);

/// Radii of answers that were measured of a run, by estimator and |S|.
class MeasuredRadii {
 public:
  /// Throws SpecError where no measurement of the run holds radii, or those are of another
  /// checkpoint, saying how to get them.
  explicit MeasuredRadii(const OpenRun& run);
  /// Adds "lower", "upper", "confidence" and "law" to what `estimator` answered to a question about
  /// `size` variables; null where there is no radius for that size. Nothing where there are radii
  /// for no such estimator.
  void add_to(Json& answer, const std::string& estimator, double log_marginal,
              std::int64_t size) const;

 private:
  std::map<std::string, ConformalRadii> radii_;
};

}  // namespace marginalia::app
