#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <marginalia/energy.h>
#include <marginalia/stream.h>

namespace marginalia::mcmc {

/// Replicas of a chain at other temperatures, where a sampler has them.
struct Ladder {
  std::int64_t temperatures = 8;
  double hottest = 0.2;  ///< the least inverse temperature
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
  virtual marginalia::Tensor sweep(const marginalia::Tensor& x, const marginalia::Tensor& free,
                                   std::int64_t sweeps, marginalia::Stream& stream) const = 0;
};

/// The sampler that "auto" stands for.
std::string suited_to(const marginalia::Energy& energy);

/// "gibbs", "block_gibbs", "metropolis", "swendsen_wang", "wolff" or "parallel_tempering". Throws
/// SpecError where the energy does not offer what the moves need.
std::unique_ptr<Sampler> make_sampler(const std::string& name, const marginalia::Energy& energy,
                                      const Ladder& ladder);

}  // namespace marginalia::mcmc
