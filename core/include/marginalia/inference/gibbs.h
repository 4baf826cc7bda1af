#pragma once

#include <memory>
#include <vector>

#include <marginalia/energy.h>
#include <marginalia/factors.h>
#include <marginalia/state_space.h>
#include <marginalia/stream.h>

namespace marginalia {

class FactorGibbs;
class TiedBlocks;

/// Gibbs sampling of an energy that offers its factors or its local conditionals: every sweep
/// redraws each free variable once from p(x_i | all others), which leaves p invariant.
///
/// On the CPU, binary pairwise energies have a kernel of their own, a few nanoseconds an update,
/// and so have factors of any kind; others go through LocalConditionals, colour by colour.
/// Variables that factors with forbidden entries tie are, at the end of a sweep, redrawn together
/// (TiedBlocks). A variable none of whose values is allowed takes any of them.
class MARGINALIA_API GibbsSampler {
 public:
  /// Throws SpecError when the energy offers neither.
  explicit GibbsSampler(const Energy& energy);
  ~GibbsSampler();
  /// From now on sweeps leave f^b invariant, b > 0.
  void set_inverse_temperature(double b);

  struct Result {
    Tensor states;  ///< int64 [B, D]
    /// float32 [B, D, K]: p(x_i | all others) as met at each update, of a tied variable p(x_i | all
    /// but its block), averaged over the sweeps; for free variables. Undefined unless asked for.
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
  std::unique_ptr<TiedBlocks> ties_;  // where there are factors
};

/// Variables that factors with forbidden entries tie to each other, so that no move of one alone
/// may lead from one allowed state to another; they are redrawn together.
///
/// A value of a variable is safe where no allowed entry of any factor becomes a forbidden one by
/// it: from any allowed state every variable with a safe value can be set to that, one after the
/// other. The others fall apart into blocks that share such factors. Where each is redrawn at once
/// given all others, exactly, by elimination, and the rest one by one, every allowed state is
/// reached from every other. Blocks whose elimination is too wide are left out.
class MARGINALIA_API TiedBlocks {
 public:
  TiedBlocks(const FactorModel& model, const StateSpace& space);
  ~TiedBlocks();
  bool any() const { return !blocks_.empty(); }
  /// From now on blocks are redrawn from f^b, b > 0.
  void set_inverse_temperature(double b);

  /// Each block of each row once more. A row in a forbidden state begins with its safe values.
  /// x: int64 [B, D]; free: bool [B, D], undefined for all; mean: float32 [B, D, K] or undefined,
  /// where p(x_i | all others but its block) is put for those that were redrawn.
  Tensor redraw(const Tensor& x, const Tensor& free, Stream& stream, Tensor mean = {}) const;

 private:
  struct Block;
  void redraw_block(const Block& block, Tensor& x, const Tensor& free, Stream& stream,
                    Tensor& mean) const;

  Tensor safe_;  // int64 [D]; kUnknown: none
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace marginalia
