#include "paths.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/state_space.h>

namespace marginalia {
namespace {

/// Paths of some rows, side by side: N of them, as many of each row.
class Paths {
 public:
  /// known: of the rows, [B, D]; start: int64 [B, D], what each knows from the start.
  Paths(const LogConditionals& conditionals, const Evidence& known, const Tensor& start,
        std::int64_t each, Stream& stream)
      : conditionals_(conditionals),
        known_(known),
        stream_(stream),
        row_(torch::arange(known.rows()).repeat_interleave(each)),
        states_(start.index_select(0, row_)),
        asked_((known.partial != kUnknown)
                   .logical_or(known.restricted())
                   .logical_and(start == kUnknown)
                   .index_select(0, row_)),
        orders_(stream.permutations(states_.size(0), states_.size(1))),
        log_weight_(torch::zeros({states_.size(0)}, torch::kDouble)) {}

  /// -> log of the product of each: float64 [N].
  Tensor walk() {
    const auto last = to_ranks(orders_).masked_fill(asked_.logical_not(), -1).amax(1);  // [N]
    for (std::int64_t t = 0; t <= last.max().item<std::int64_t>(); ++t) {
      const auto next = orders_.select(1, t);
      const auto open = states_.gather(1, next.unsqueeze(1)).squeeze(1) == kUnknown;
      const auto goes_on = open.logical_and(last >= t).logical_and(log_weight_ > -INFINITY);
      for (const auto& paths : goes_on.nonzero().squeeze(1).split(rows_a_pass(states_.size(1))))
        if (paths.numel() > 0) reveal(paths, next.index_select(0, paths));
    }
    return log_weight_;
  }
  double passes() const { return passes_; }

 private:
  /// Variable i of each of these paths, int64 [n] both.
  void reveal(const Tensor& paths, const Tensor& i) {
    passes_ += double(paths.numel());
    auto log_p =
        conditionals_.at(states_.index_select(0, paths), i).to(at::kCPU, torch::kDouble);  // [n, K]
    const auto all = log_p.logsumexp(1);
    if (!all.isfinite().all().item<bool>())
      throw Error("the model's conditionals are not probabilities (NaN, or all zero)");
    log_p = log_p + log_fits(row_.index_select(0, paths), i, log_p.size(1));
    const auto share =
        (log_p.logsumexp(1) - all).masked_fill(asked_.index({paths, i}).logical_not(), 0);
    log_weight_.index_add_(0, paths, share);
    const auto below = log_p.softmax(1).nan_to_num(0).cumsum(1);  // all 0 where nothing fits
    const auto u = torch::rand({paths.numel(), 1}, stream_.generator(), torch::kDouble);
    const auto value = (below <= u * below.slice(1, -1)).sum(1).clamp_max(log_p.size(1) - 1);
    states_.index_put_({paths, i}, value);
  }

  /// How much of each value of variable i fits the row, its log: float64 [n, K].
  Tensor log_fits(const Tensor& row, const Tensor& i, std::int64_t levels) const {
    const auto wanted = known_.partial.index({row, i}).unsqueeze(1);
    const auto fits = (wanted == kUnknown).logical_or(wanted == torch::arange(levels));
    if (!known_.allowed.defined()) return fits.to(torch::kDouble).log();
    return torch::where(wanted == kUnknown, known_.allowed.index({row, i}), fits.to(torch::kDouble))
        .log();
  }

  const LogConditionals& conditionals_;
  const Evidence& known_;
  Stream& stream_;
  Tensor row_;                      // int64 [N]: whose path it is
  Tensor states_, asked_, orders_;  // [N, D]
  Tensor log_weight_;               // [N]
  double passes_ = 0;
};

}  // namespace

ChainScore score_paths(const LogConditionals& conditionals, const Evidence& known,
                       const Tensor& given, std::int64_t paths, Stream& stream) {
  if (paths < 1) throw SpecError(fmt::format("\"paths\" need one order at least, not {}", paths));
  const auto B = known.rows(), D = known.partial.size(1);
  const auto most = 4 * rows_a_pass(D);  // paths at once
  std::vector<Tensor> parts;             // of all rows, by some paths each: their sum, its log
  double passes = 0;
  for (std::int64_t left = paths; left > 0; left -= most) {
    const auto each = std::min(left, most);
    std::vector<Tensor> sums{torch::empty({0}, torch::kDouble)};
    for (const auto& rows : torch::arange(B).split(std::max<std::int64_t>(1, most / each))) {
      if (rows.numel() == 0) continue;
      const auto part = known.of_rows(rows);
      const auto start =
          given.defined() ? given.index_select(0, rows) : torch::full_like(part.partial, kUnknown);
      Paths walked(conditionals, part, start, each, stream);
      sums.push_back(walked.walk().view({-1, each}).logsumexp(1));
      passes += walked.passes();
    }
    parts.push_back(torch::cat(sums));
  }
  const auto log_p = torch::stack(parts).logsumexp(0) - std::log(double(paths));
  return {log_p, B ? passes / double(B) : 0};
}

}  // namespace marginalia
