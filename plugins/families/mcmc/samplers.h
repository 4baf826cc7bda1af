#pragma once

#include <cstdint>
#include <memory>

#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/stream.h>

#include "params.h"

namespace marginalia::mcmc {

/// Chains after some sweeps.
struct Swept {
  marginalia::Tensor states;  ///< int64 [replicas * B, D]
  /// bool, likewise: values that a move has changed. An exchange of replicas is none.
  marginalia::Tensor moved;
};

/// One kind of move on a batch of chains, all of which leave p invariant.
class Sampler {
 public:
  virtual ~Sampler() = default;
  /// States a chain keeps: T replicas, the first of them p's own.
  virtual std::int64_t replicas() const { return 1; }
  /// Whether variables can be held where they are.
  virtual bool clamps() const = 0;
  /// x: int64 [replicas * B, D], the first B rows p's own  ->  the same after `sweeps` sweeps.
  /// free: bool [replicas * B, D], undefined for all.
  virtual Swept sweep(const marginalia::Tensor& x, const marginalia::Tensor& free,
                      std::int64_t sweeps, marginalia::Stream& stream) const = 0;

 protected:
  /// Where nothing but moves changes values.
  static Swept swept(const marginalia::Tensor& before, marginalia::Tensor after) {
    auto moved = after != before;
    return {std::move(after), std::move(moved)};
  }
};

/// The moves that "auto" stands for; others stay as they are.
Moves settled(const Moves& moves, const marginalia::Energy& energy);

/// moves: settled. Throws SpecError where the energy does not offer what they need.
std::unique_ptr<Sampler> make_sampler(const Moves& moves, const marginalia::Energy& energy);

}  // namespace marginalia::mcmc
