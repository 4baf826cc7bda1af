#pragma once

#include <marginalia/inference/certificate.h>

#include "betting.h"
#include "certify_question.h"
#include "inference/sampling/exact_posterior.h"
#include "sdk/base/clock.h"
#include "twisted.h"

namespace marginalia::certify {

/// What one sum may cost, and how sure its two sides must be together.
struct Budget {
  double delta, width, seconds;
  std::int64_t samples;
};

/// The means by which chains and posterior samples are drawn.
struct Means {
  const Proposal& proposal;
  const std::function<Tensor(const Tensor&)>& twist;  ///< one-pass marginals; empty: none
  ExactPosterior* posteriors;                         ///< null: there are none
  RevealSchedule& schedule;
  std::int64_t particles;  ///< CertifySettings::particles
};

/// Samples both sides of one sum until the interval is narrow enough or the budget is spent.
class Sampling {
 public:
  Sampling(const Means& means, const SampledSum& sum, const Budget& budget, Stream& stream);
  Certificate run();

 private:
  std::int64_t next_batch() const;
  Tensor settle();
  void draw_below(std::int64_t count, const Tensor& time);
  void draw_above(std::int64_t count, const Tensor& time);
  void try_above(std::int64_t count, const Tensor& time);
  double width();
  double estimate() const;
  Certificate result();
  double spent() const { return seconds_since(start_); }
  bool late() const { return budget_.seconds > 0 && spent() >= budget_.seconds; }

  const Means means_;
  const SampledSum& sum_;
  const Budget budget_;
  Stream& stream_;
  const Clock::time_point start_ = Clock::now();
  TwistedChains chains_;
  ExactPosterior::Draws posterior_;
  bool two_sided_, twisted_ = false;
  std::size_t level_ = RevealSchedule::kLevels;  // of passes; none yet
  BettingBound below_, above_;                   // of f(x_S), and of 1 / f(x_S)
  double delta_;                                 // of each side
  double width_ = INFINITY;
  Certificate made_;
};

}  // namespace marginalia::certify
