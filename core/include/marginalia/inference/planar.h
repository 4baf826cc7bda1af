#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <marginalia/energy.h>
#include <marginalia/factors.h>
#include <marginalia/oracle.h>

namespace marginalia {

namespace planar {
class Answers;
}

/// Answers of another kind, worked out where they are asked for.
using OtherAnswers = std::function<Offer<Oracle>()>;

/// Where the variables of a model lie, in the plane or on a flat cylinder or torus, so that no two
/// factors, drawn as straight bonds, cross.
struct Drawing {
  std::vector<std::array<double, 2>> positions;  ///< [D]
  /// Of each axis; 0: open. A bond across is the shortest one.
  std::array<double, 2> periods = {0, 0};
};

/// The most variables that planar answers are given about: 512 x 512, some ten seconds.
inline constexpr std::int64_t kMaxPlanarSpins = 1 << 18;

/// Exact answers about Ising models without fields that are drawn without crossings, whatever their
/// couplings:  log f(x) = constant + sum_e K_e s_u s_v,  s = 2x - 1.
///
/// With t_e = tanh K_e,  log Z = constant + D log 2 + sum_e log cosh K_e + log E(t),  E the sum of
/// prod t_e over even subgraphs: a Pfaffian in the plane and on a cylinder, four of them on a
/// torus. It is eliminated by nested dissection, O(D^1.5). Partial states are sums where what is
/// known hangs together, or falls into few clusters; or where elimination of the rest is narrow.
/// Sources: Groeneveld, Boel and Kasteleyn (1978); Chelkak, Cimasoni and Kassel (2017),
/// arXiv:1507.08242; samples as Thomas and Middleton (2009), arXiv:0906.5519, have them by dimers.
class MARGINALIA_API PlanarIsing final : public Oracle {
 public:
  /// Throws SpecError with the reason where the model is no such one: see obstacle.
  /// other: asked about what this cannot sum; empty: there is none.
  PlanarIsing(const FactorModel& model, StateSpace space, const Drawing& drawing,
              OtherAnswers other = {});
  ~PlanarIsing() override;

  /// Why a model has no such answers, without working any out: a field, a factor of three
  /// variables, two bonds that cross; empty where it may have.
  static std::string obstacle(const FactorModel& model, const Drawing& drawing);
  /// Why its answers would be worth nothing: too cold for doubles; empty where they are good.
  std::string lost() const;

  const StateSpace& space() const override { return space_; }
  std::string method() const override { return "planar"; }
  Tensor can_sum(const Tensor& partial) const override;
  Tensor nearest_sets(const Tensor& known, Stream& stream) const override;
  std::optional<double> digits() const override;
  std::optional<LogDensityMoments> log_density_moments() const override;

 private:
  Tensor compute_log_sum(const Tensor& partial) const override;
  Tensor compute_single_marginals(const Tensor& partial) const override;
  Tensor compute_sample(const Tensor& partial, Stream& stream) const override;

  StateSpace space_;
  std::unique_ptr<planar::Answers> answers_;
};

/// Planar answers as an energy offers them, beside those that it has otherwise.
class MARGINALIA_API ByPlanar {
 public:
  /// None: it is drawn nowhere, and `reason` says why.
  explicit ByPlanar(std::optional<Drawing> drawing, std::string reason = "");
  ByPlanar(ByPlanar&&) noexcept;
  ~ByPlanar();

  /// `other` where it is cheap, else the planar answers where there are any, else `other`; where
  /// there is neither, both reasons. The same at every call.
  Offer<Oracle> oracle(const FactorModel& model, const StateSpace& space,
                       const OtherAnswers& other) const;
  /// Samples of the planar answers, where they are what oracle() offers.
  Offer<PosteriorSampler> posterior(const FactorModel& model, const StateSpace& space,
                                    const OtherAnswers& other) const;
  /// log Z of the planar answers, whatever there is beside.
  std::optional<KnownLogZ> known_log_z(const FactorModel& model, const StateSpace& space,
                                       const OtherAnswers& other) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace marginalia
