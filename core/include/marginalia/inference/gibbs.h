#pragma once

#include <memory>

#include <marginalia/energy.h>
#include <marginalia/stream.h>

namespace marginalia {

class FactorGibbs;

/// Gibbs sampling of an energy that offers its factors or its local conditionals: every sweep
/// redraws each free variable once from p(x_i | all others), which leaves p invariant.
///
/// On the CPU, binary pairwise energies have a kernel of their own, a few nanoseconds an update,
/// and so have factors of any kind; others go through LocalConditionals, colour by colour.
class MARGINALIA_API GibbsSampler {
 public:
  /// Throws SpecError when the energy offers neither.
  explicit GibbsSampler(const Energy& energy);
  ~GibbsSampler();
  /// From now on sweeps leave f^b invariant, b > 0.
  void set_inverse_temperature(double b);

  struct Result {
    Tensor states;  ///< int64 [B, D]
    /// float32 [B, D, K]: p(x_i | all others) as met at each update, averaged over the sweeps; for
    /// free variables. Undefined unless asked for.
    Tensor mean;
  };
  /// x: int64 [B, D], full; free: bool [B, D], undefined for all. Rows are independent, and depend
  /// on the stream alone, not on the number of threads.
  Result sweep(const Tensor& x, const Tensor& free, std::int64_t sweeps, Stream& stream,
               bool want_mean) const;
  /// The same of the energy as training sees it: at its inverse temperature, and counted there, a
  /// free variable of a row and a sweep each.
  Result sweep(MeteredEnergy& energy, const Tensor& x, const Tensor& free, std::int64_t sweeps,
               Stream& stream, bool want_mean);

 private:
  struct Kernel;
  Result by_colour(Tensor x, const Tensor& free, std::int64_t sweeps, Stream& stream,
                   bool want_mean) const;
  Result by_factors(const Tensor& x, const Tensor& free, std::int64_t sweeps, Stream& stream,
                    bool want_mean) const;
  const Energy& energy_;
  double inverse_temperature_ = 1;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<FactorGibbs> factors_;
};

}  // namespace marginalia
