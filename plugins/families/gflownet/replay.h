#pragma once

#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/params.h>

namespace marginalia::gflownet {

using marginalia::Stream;
using marginalia::Tensor;

struct ReplayParams {
  std::int64_t size = 0;
  double share = 0.5;
  void visit(marginalia::ParamVisitor& p) {
    p("size", size,
      {.doc = "past samples kept, to be revealed again in other orders; 0: none", .min = 0});
    p("share", share, {.doc = "of a batch that is drawn from them", .min = 0.0, .max = 1.0});
  }
};

/// The last samples of training and their log f, the oldest dropped first.
class Replay {
 public:
  explicit Replay(const ReplayParams& params) : params_(params) {}

  bool keeps() const { return params_.size > 0; }
  /// Rows of a batch of `rows` to draw from here.
  std::int64_t count_replayed(std::int64_t rows) const {
    return keeps() && states_.defined() ? std::int64_t(params_.share * double(rows)) : 0;
  }
  /// states: int64 [B, D]; log_density: float64 [B]
  void add(const Tensor& states, const Tensor& log_density) {
    if (!keeps()) return;
    const auto joined = [&](const Tensor& old, const Tensor& more) {
      return (old.defined() ? torch::cat({old, more}) : more).slice(0, -params_.size).clone();
    };
    states_ = joined(states_, states);
    log_density_ = joined(log_density_, log_density);
  }
  /// Uniformly, with replacement.
  std::pair<Tensor, Tensor> draw(std::int64_t rows, Stream& stream) const {
    const auto index = stream.integers(states_.size(0), {rows});
    return {states_.index({index}), log_density_.index({index})};
  }
  void visit(marginalia::StateVisitor& v) {
    v("replay.states", states_);
    v("replay.log_density", log_density_);
  }

 private:
  ReplayParams params_;
  Tensor states_, log_density_;
};

}  // namespace marginalia::gflownet
