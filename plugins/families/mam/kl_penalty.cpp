#include <torch/types.h>

#include "links.h"
#include "objective.h"
#include "shared/families/reinforce.h"

namespace marginalia::mam {
namespace {

/// The published objective, computing only what it uses: one conditional and one marginal batch.
class KlPenalty final : public Objective {
 public:
  KlPenalty(const Heads& heads, double alpha) : Objective(heads), alpha_(alpha) {}
  void step(Step& step, const Tensor& states, TrainingStates&) const override {
    const auto x = step.share(states);
    const auto B = x.size(0), D = x.size(1);
    const auto links = share_of(step, draw_links(states, 1, step.stream("family/links")));
    const auto of_link = at_link(heads_.conditional().log_conditionals(links.before), links);
    const auto F = heads_.marginal().log_marginal(
        torch::cat({x, links.before, links.after, heads_.space().empty()}));
    step.count_passes(4 * B + 1);
    const auto empty = F[3 * B];
    const auto density = step.energy().log_density(x).to(F.options());
    const auto log_p = F.slice(0, 0, B) - empty.detach();
    const auto kl = reinforce(step, log_p, log_p.detach() - density);  // eq. 9
    const auto square =
        residual(F.slice(0, B, 2 * B), of_link, F.slice(0, 2 * B, 3 * B)).square().mean();
    const auto anchor = (empty - heads_.space().log_states()).square();
    step.record("train/consistency", square.item<double>());
    step.record("train/anchor", anchor.item<double>());
    step.record("train/kl_less_log_z", (F.slice(0, 0, B) - empty - density).mean().item<double>());
    step.minimise(kl + alpha_ * (double(D) * square + anchor));
  }

 private:
  double alpha_;
};

}  // namespace

std::unique_ptr<Objective> make_objective(const KlPenaltyParams& params, const Heads& heads) {
  return std::make_unique<KlPenalty>(heads, params.alpha);
}

}  // namespace marginalia::mam
