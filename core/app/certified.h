#pragma once

#include <cstdint>
#include <string>

#include "cli.h"

namespace marginalia::app {

/// Answers each line of `input` with an interval that holds log p(x_S). What log Z's own interval
/// cost is kept in certified_log_z.json of the run, and used again.
void certified_marginals(Session& session, OpenRun& run, const std::string& input,
                         const CertifyArguments& arguments);

/// What the metric "conformal" found for a run: radii of one-pass answers, by |S|.
class ConformalRadii {
 public:
  /// Throws SpecError where the run has none, or those of another checkpoint, saying how to get
  /// them.
  explicit ConformalRadii(const OpenRun& run);
  /// Adds "lower", "upper", "confidence" and "law" to the answer to a question about `size`
  /// variables; null where there is no radius for that size.
  void add_to(Json& answer, double log_marginal, std::int64_t size) const;

 private:
  Json figure_;
};

}  // namespace marginalia::app
