#include "paths.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <torch/types.h>

#include <marginalia/state_space.h>

namespace marginalia {
namespace {

/// Paths of some rows, side by side.
class Paths {
 public:
  /// known: of each path, [N, D]; start: int64 [N, D], what it knows from the start.
  Paths(const LogConditionals& conditionals, const Evidence& known, const Tensor& start,
        Stream& stream)
      : conditionals_(conditionals),
        known_(known),
        stream_(stream),
        states_(start.clone()),
        asked_((known.partial != kUnknown)
                   .logical_or(known.restricted())
                   .logical_and(start == kUnknown)),
        orders_(stream.permutations(start.size(0), start.size(1))),
        log_weight_(torch::zeros({start.size(0)}, torch::kDouble)) {}

  /// -> log of the product of each: float64 [N].
  Tensor walk() {
    const auto last = to_ranks(orders_).masked_fill(asked_.logical_not(), -1).amax(1);  // [N]
    for (std::int64_t t = 0; t <= last.max().item<std::int64_t>(); ++t) {
      const auto next = orders_.select(1, t);
      const auto open = states_.gather(1, next.unsqueeze(1)).squeeze(1) == kUnknown;
      const auto goes_on = open.logical_and(last >= t).logical_and(log_weight_ > -INFINITY);
      for (const auto& rows : goes_on.nonzero().squeeze(1).split(rows_a_pass(states_.size(1))))
        if (rows.numel() > 0) reveal(rows, next.index_select(0, rows));
    }
    return log_weight_;
  }
  double passes() const { return passes_; }

 private:
  /// Variable i of each of these paths, int64 [n] both.
  void reveal(const Tensor& rows, const Tensor& i) {
    passes_ += double(rows.numel());
    auto log_p = conditionals_.at(states_.index_select(0, rows), i).to(torch::kDouble);  // [n, K]
    const auto all = log_p.logsumexp(1);
    log_p = log_p + log_fits(rows, i, log_p.size(1));
    const auto share = (log_p.logsumexp(1) - all).masked_fill(asked_.index({rows, i}) == 0, 0);
    log_weight_.index_add_(0, rows, share);
    const auto below = log_p.softmax(1).nan_to_num(0).cumsum(1);  // all 0 where nothing fits
    const auto u = torch::rand({rows.numel(), 1}, stream_.generator(), torch::kDouble);
    const auto value = (below <= u * below.slice(1, -1)).sum(1).clamp_max(log_p.size(1) - 1);
    states_.index_put_({rows, i}, value);
  }

  /// How much of each value fits, its log: float64 [n, K].
  Tensor log_fits(const Tensor& rows, const Tensor& i, std::int64_t levels) const {
    const auto wanted = known_.partial.index({rows, i}).unsqueeze(1);
    auto fits = (wanted == kUnknown).logical_or(wanted == torch::arange(levels));
    if (!known_.allowed.defined()) return fits.to(torch::kDouble).log();
    const auto allowed = known_.allowed.index({rows, i});
    return torch::where(wanted == kUnknown, allowed, fits.to(torch::kDouble)).log();
  }

  const LogConditionals& conditionals_;
  const Evidence& known_;
  Stream& stream_;
  Tensor states_, asked_, orders_;  // [N, D]
  Tensor log_weight_;               // [N]
  double passes_ = 0;
};

}  // namespace

ChainScore score_paths(const LogConditionals& conditionals, const Evidence& known,
                       const Tensor& given, std::int64_t paths, Stream& stream) {
  const auto B = known.rows(), D = known.partial.size(1);
  const auto at_once = std::max<std::int64_t>(1, 4 * rows_a_pass(D) / paths);
  const auto start = given.defined() ? given : torch::full_like(known.partial, kUnknown);
  auto log_p = torch::zeros({B}, torch::kDouble);
  double passes = 0;
  for (std::int64_t first = 0; first < B; first += at_once) {
    const auto rows = torch::arange(first, std::min(first + at_once, B));
    const auto each = rows.repeat_interleave(paths);
    const auto of_paths = known.of_rows(each);
    Paths walked(conditionals, of_paths, start.index_select(0, each), stream);
    log_p.index_copy_(0, rows,
                      walked.walk().view({-1, paths}).logsumexp(1) - std::log(double(paths)));
    passes += walked.passes();
  }
  return {log_p, B ? passes / double(B) : 0};
}

}  // namespace marginalia
