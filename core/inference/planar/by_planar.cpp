#include <algorithm>

#include <fmt/format.h>

#include <marginalia/inference/planar.h>

#include "narrow.h"
#include "sampler.h"

namespace marginalia {
namespace {

/// A lower bound on the induced width of any order, 0 where none is known: the shorter side of a
/// lattice, whose treewidth it is.
int least_width(const FactorModel& model, const Drawing& drawing) {
  FactorModel bare{model.cardinalities, {}};
  for (const auto& factor : model.factors)
    if (factor.scope.size() == 2) bare.factors.push_back({factor.scope, {0, 0, 0, 0}});
  if (std::ranges::any_of(model.cardinalities, [](std::int64_t K) { return K != 2; })) return 0;
  const auto lattice = planar::find_lattice(planar::make_graph(bare, drawing));
  return lattice ? std::min(lattice->columns, lattice->rows) : 0;
}

}  // namespace

class ByPlanar::Impl final : public PosteriorSampler {
 public:
  Impl(std::optional<Drawing> drawing, std::string reason)
      : drawing_(std::move(drawing)), obstacle_(std::move(reason)) {}

  /// The planar answers, or none with the reason.
  Offer<Oracle> planar(const FactorModel& model, const StateSpace& space,
                       const OtherAnswers& other) const {
    std::call_once(made_, [&] { make(model, space, other); });
    if (!obstacle_.empty()) return Offer<Oracle>::none(obstacle_);
    return {planar_.get()};
  }

  /// Whether elimination is done in no time, and so needs no other way beside it.
  bool narrow(const FactorModel& model) const {
    constexpr std::size_t kVariables = 2048;  // beyond them an order takes longer than Pfaffians
    std::call_once(measured_, [&] {
      narrow_ = model.cardinalities.size() <= kVariables && planar::is_narrow(model);
    });
    return narrow_;
  }

  /// Why elimination of a large lattice is out of the question, told before it looks for an order,
  /// which would take minutes; empty where it may be tried.
  std::string too_wide(const FactorModel& model) const {
    constexpr std::size_t kVariables = 4096;
    constexpr int kWidth = 40;  // 2^40 entries of a message: 8192 GiB
    if (!drawing_ || model.cardinalities.size() <= kVariables) return "";
    const auto width = least_width(model, *drawing_);
    if (width <= kWidth) return "";
    return fmt::format(
        "variable elimination has induced width at least {} on this lattice, and would need more "
        "than 2^{} GiB",
        width, width - 27);
  }

  std::string method() const override { return "planar"; }
  Tensor sample(const Tensor& partial, Stream& stream) const override {
    return planar_->sample(partial, stream);
  }

 private:
  void make(const FactorModel& model, const StateSpace& space, const OtherAnswers& other) const {
    if (!drawing_) return;
    obstacle_ = PlanarIsing::obstacle(model, *drawing_);
    if (!obstacle_.empty()) return;
    planar_ = std::make_unique<PlanarIsing>(model, space, *drawing_, other);
    obstacle_ = planar_->lost();
  }

  std::optional<Drawing> drawing_;
  mutable std::string obstacle_;
  mutable std::once_flag made_, measured_;
  mutable std::unique_ptr<PlanarIsing> planar_;
  mutable bool narrow_ = false;
};

ByPlanar::ByPlanar(std::optional<Drawing> drawing, std::string reason)
    : impl_(std::make_unique<Impl>(std::move(drawing), std::move(reason))) {}

ByPlanar::ByPlanar(ByPlanar&&) noexcept = default;
ByPlanar::~ByPlanar() = default;

Offer<Oracle> ByPlanar::oracle(const FactorModel& model, const StateSpace& space,
                               const OtherAnswers& other) const {
  if (impl_->narrow(model))
    if (const auto offer = other()) return offer;
  const auto planar = impl_->planar(model, space, other);
  if (planar) return planar;
  const auto too_wide = impl_->too_wide(model);
  const auto offer = too_wide.empty() ? other() : Offer<Oracle>::none(too_wide);
  if (offer) return offer;
  return Offer<Oracle>::none(fmt::format("{}; planar: {}", offer.reason, planar.reason));
}

Offer<PosteriorSampler> ByPlanar::posterior(const FactorModel& model, const StateSpace& space,
                                            const OtherAnswers& other) const {
  const auto offer = oracle(model, space, other);
  if (!offer) return Offer<PosteriorSampler>::none(offer.reason);
  if (offer->method() != impl_->method())
    return Offer<PosteriorSampler>::none("its exact answers sample: " + offer->method());
  return {impl_.get()};
}

std::optional<KnownLogZ> ByPlanar::known_log_z(const FactorModel& model, const StateSpace& space,
                                               const OtherAnswers& other) const {
  const auto planar = impl_->planar(model, space, other);
  if (!planar) return std::nullopt;
  return KnownLogZ{planar->log_z(), 0, fmt::format("planar, {:.0f} digits", *planar->digits())};
}

}  // namespace marginalia
