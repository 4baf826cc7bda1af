#pragma once

#include <chrono>

#include <marginalia/betting.h>

#include "certify_question.h"
#include "twisted.h"

namespace marginalia {

/// What one sum may cost, and how sure its two sides must be together.
struct Certifier::Budget {
  double delta, width, seconds;
  std::int64_t samples;
};

/// Samples both sides of one question until the interval is narrow enough or the budget is spent.
class Certifier::Sampling {
 public:
  Sampling(Certifier& certifier, const Question& question, const Budget& budget, Stream& stream);
  Certificate run();

 private:
  using Clock = std::chrono::steady_clock;

  std::int64_t next_batch() const;
  Tensor settle();
  void draw_below(std::int64_t count, const Tensor& time);
  void draw_above(std::int64_t count, const Tensor& time);
  void try_above(std::int64_t count, const Tensor& time);
  double width();
  double estimate() const;
  Certificate result();
  double spent() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool late() const { return budget_.seconds > 0 && spent() >= budget_.seconds; }

  Certifier& certifier_;
  const Question& question_;
  const Budget budget_;
  Stream& stream_;
  const Clock::time_point start_ = Clock::now();
  TwistedChains chains_;
  PosteriorSource::Draws posterior_;
  bool two_sided_, twisted_ = false;
  std::size_t level_ = Passes::kLevels;  // of passes; none yet
  BettingBound below_, above_;           // of f(x_S), and of 1 / f(x_S)
  double delta_;                         // of each side
  double width_ = INFINITY;
  Certificate made_;
};

}  // namespace marginalia
