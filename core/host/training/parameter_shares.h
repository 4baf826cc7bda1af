#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "host/ranks/communicator.h"

namespace marginalia {

/// What each of several ranks keeps moments of, and moves: its share of every parameter. Source:
/// stage 1 of Rajbhandari et al. (2020), arXiv:1910.02054, sect. 5.1.
///
/// A parameter of n elements is cut into N runs of ceil(n / N), of which the last may be shorter.
/// So shares are even whichever group of parameters moves, whatever is frozen, and where one
/// parameter is most of the model. Gloo has no reduce-scatter in LibTorch 1.13: gradients are
/// summed whole on all ranks, and a step sends 1.5 times the bytes that it sends without shares.
class ParameterShares {
 public:
  explicit ParameterShares(Communicator& ranks) : ranks_(ranks) {}

  /// This rank's run of `whole`, flat: a view where `whole` is contiguous, else a copy.
  Tensor own(const Tensor& whole) const;
  /// The inverse: what of all ranks' runs has the shape of `parameter`.
  Tensor whole(const Tensor& own, const Tensor& parameter) const;

  /// Begins to send `values`, this rank's run of `parameter` once it was moved.
  void send(const Tensor& parameter, const Tensor& values);
  /// Puts what was sent by all ranks in its place.
  void receive();

 private:
  static constexpr std::int64_t kBytes = 4 << 20;  // of a bucket, but for a larger parameter
  struct Run {
    Tensor parameter, values;
  };
  struct Bucket {
    std::vector<Run> runs;
    std::function<Tensor()> wait;
  };

  std::int64_t length(const Tensor& parameter) const;
  Tensor padded(const Tensor& values, const Tensor& parameter) const;
  void begin();

  Communicator& ranks_;
  std::vector<Run> next_;  // the bucket that is being filled
  std::int64_t bytes_ = 0;
  std::vector<Bucket> sent_;
};

}  // namespace marginalia
