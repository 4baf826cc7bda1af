#include <torch/types.h>

#include "links.h"
#include "objective.h"

namespace marginalia::mam {
namespace {

/// The local loss, whose terminal side is the density, and the information loss:
///   mean R(s_{D-1} -> x)^2 + mean R(s_{D-k} -> s_{D-k+1})^2,   k ~ Poisson(log D) in 1..D.
class Particle final : public Objective {
 public:
  using Objective::Objective;
  void step(Step& step, const Tensor& states, TrainingStates&) const override {
    const auto all = states.size(0), D = states.size(1);
    auto& stream = step.stream("family/links");
    const auto at_end = torch::full({all}, D - 1, torch::kLong);
    const auto last = share_of(step, links_at(states, at_end, stream));
    const auto back =
        share_of(step, links_at(states, D - truncated_poisson(all, D, stream), stream));
    const auto x = step.share(states);
    const auto B = x.size(0);
    const auto before = heads_.both(torch::cat({last.before, back.before}));
    const auto after = heads_.marginal().log_marginal(back.after);
    step.count_passes(3 * B);
    const auto density = step.energy().log_density(x);
    const auto square = [&](const Links& links, std::int64_t at, const Tensor& F) {
      const auto log_p = at_link(before.first.slice(0, at, at + B), links);
      return residual(before.second.slice(0, at, at + B), log_p, F).square().mean();
    };
    const auto local = square(last, 0, density.to(before.second.options()));
    const auto information = square(back, B, heads_.with_density(after, back.after, density));
    step.record("train/local", local.item<double>());
    step.record("train/information", information.item<double>());
    step.minimise(local + information);
  }
};

}  // namespace

std::unique_ptr<Objective> make_objective(const ParticleParams&, const Heads& heads) {
  return std::make_unique<Particle>(heads);
}

}  // namespace marginalia::mam
