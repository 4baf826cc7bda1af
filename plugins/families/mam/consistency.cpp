#include <torch/types.h>

#include "links.h"
#include "objective.h"

namespace marginalia::mam {

AtLinks residual_at_links(Step& step, const Heads& heads, const Tensor& states, double size_power,
                          bool couple) {
  const auto links = share_of(step, draw_links(states, size_power, step.stream("family/links")));
  const auto B = links.before.size(0);
  AtLinks at{torch::cat({links.before, links.after}), {}, {}};
  auto [log_p, F] = heads.both(at.pair);
  F = F + heads.learn_causal(step, at.pair);
  step.count_passes(2 * B);
  if (heads.density_built_in()) {
    const auto density = step.energy().log_density(step.share(states));
    F = heads.with_density(F, at.pair, torch::cat({density, density}));
  }
  const auto link_log_p = at_link(log_p.slice(0, 0, B), links);
  const auto R =
      residual(F.slice(0, 0, B), couple ? link_log_p : link_log_p.detach(), F.slice(0, B));
  at.square = R.square().mean();
  at.log_p = log_p;
  step.record("train/consistency", at.square.item<double>());
  return at;
}

namespace {

class Consistency final : public Objective {
 public:
  Consistency(const Heads& heads, double size_power) : Objective(heads), size_power_(size_power) {}
  void step(Step& step, const Tensor& x, TrainingStates& source) const override {
    const auto states = source.with_on_policy(step, x, heads_.conditionals());
    step.minimise(residual_at_links(step, heads_, states, size_power_, true).square);
  }

 private:
  double size_power_;
};

}  // namespace

std::unique_ptr<Objective> make_objective(const ConsistencyParams& params, const Heads& heads) {
  return std::make_unique<Consistency>(heads, params.size_power);
}

}  // namespace marginalia::mam
