#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/masking.h>

#include "labels.h"
#include "links.h"
#include "objective.h"

namespace marginalia::mam {
namespace {

/// Conditionals by masked cross-entropy; marginals by R^2 of those, without a gradient in them.
class Denoising final : public Objective {
 public:
  Denoising(const DenoisingParams& params, const Heads& heads, std::unique_ptr<Labels> labels)
      : Objective(heads), params_(params), labels_(std::move(labels)) {}

  void step(Step& step, const Tensor& x, TrainingStates& source) const override {
    const auto* two_stage = std::get_if<TwoStage>(&params_.stages);
    if (!two_stage) return marginals(step, x, source, false);
    const auto f = two_stage->conditional_fraction;
    const bool first = step.progress() < f;
    step.set_stage(first ? 0 : f, first ? f : 1);
    for (auto& [_, parameter] : heads_.group(false))
      parameter.set_requires_grad(first);
    if (first)
      conditionals_alone(step, x);
    else
      marginals(step, x, source, true);
  }

 private:
  /// Stage one: what any_order_arm does, with soft labels where asked for.
  void conditionals_alone(Step& step, const Tensor& x) const {
    const auto loss = of_conditionals(step, x);
    step.minimise(loss, "conditional");
  }

  /// Unless `frozen` the conditionals learn too.
  void marginals(Step& step, const Tensor& x, TrainingStates& source, bool frozen) const {
    const auto states = source.with_on_policy(step, x, heads_.conditionals());
    if (const auto* paths = std::get_if<PathTargets>(&params_.targets))
      along_paths(step, x, states, *paths, frozen);
    else
      at_links(step, step.share(x), states, source, frozen);
  }

  void along_paths(Step& step, const Tensor& x, const Tensor& states, const PathTargets& targets,
                   bool frozen) const {
    const auto square = path_residual(step, states, targets);
    step.record("train/consistency", square.item<double>());
    if (frozen) return step.minimise(square, "marginal");
    step.minimise(of_conditionals(step, x) + params_.consistency_weight * square);
  }

  /// R^2 at one link of each row; both of its states teach the conditionals too, but for the rows,
  /// the last ones, that are the model's own.
  void at_links(Step& step, const Tensor& x, const Tensor& states, const TrainingStates& source,
                bool frozen) const {
    const auto power = std::get<LinkTargets>(params_.targets).size_power;
    const auto at = residual_at_links(step, heads_, states, power, false);
    if (frozen) return step.minimise(at.square, "marginal");
    const auto B = x.size(0), kept = B - source.on_policy_rows(B);
    const auto both = [&](const Tensor& t) {
      return torch::cat({t.slice(0, 0, kept), t.slice(0, B, B + kept)});
    };
    const auto twice = x.slice(0, 0, kept).repeat({2, 1});
    const auto conditional = labels_->loss(step, twice, both(at.pair) == kUnknown, both(at.log_p));
    step.record("train/conditional", conditional.item<double>());
    step.minimise(conditional + params_.consistency_weight * at.square);
  }

  /// The loss of the conditionals at x, uniformly masked.
  Tensor of_conditionals(Step& step, const Tensor& x) const {
    const auto masked = mask_uniformly(x, step.stream("family/masks"));
    const auto partial = step.share(masked.partial);
    step.count_passes(partial.size(0));
    const auto log_p = heads_.conditional().log_conditionals(partial);
    const auto loss = labels_->loss(step, step.share(x), step.share(masked.unknown), log_p);
    step.record("train/conditional", loss.item<double>());
    return loss;
  }

  /// The mean over the cuts of a whole order of loss(d), d = sum of conditionals up to c
  /// - (F(s_c) - F(empty)): d^2, which is least at the mean of the sums, or of exp(d) - d - 1,
  /// which is least where the mean of exp(d) is 1.
  Tensor path_residual(Step& step, const Tensor& x, const PathTargets& targets) const {
    Paths paths;
    {
      torch::NoGradGuard no_grad;
      paths = draw_paths(x, targets, heads_.conditionals(), step.stream("family/links"),
                         [&](const Tensor& rows) { return step.share(rows); });
    }
    step.count_passes(paths.passes + paths.states.size(0) + 1);
    const auto states = torch::cat({paths.states, heads_.space().empty()});
    auto F = heads_.marginal().log_marginal(states);
    const auto log_q = heads_.learn_causal(step, paths.states);
    F = F + torch::cat({log_q, torch::zeros({1}, log_q.options())});  // of the empty state 0
    if (heads_.density_built_in()) {
      const auto B = step.share(x).size(0);
      const auto rows = states.slice(0, -1 - B, -1);  // the last cut is the full state
      const auto density = step.energy().log_density(rows);
      F = torch::cat({F.slice(0, 0, -1 - B), density.to(F.options()), F.slice(0, -1)});
    }
    const auto sums = paths.log_prob.to(F.options());
    const auto d = sums - (F.slice(0, 0, -1) - F[F.size(0) - 1]);
    return (targets.mean == "probability" ? exponential_loss(d) : d.square()).mean();
  }

  DenoisingParams params_;
  std::unique_ptr<Labels> labels_;
};

}  // namespace

std::unique_ptr<Objective> make_objective(const DenoisingParams& params, const Heads& heads,
                                          const FamilyContext& context, bool states_of_target) {
  const auto* paths = std::get_if<PathTargets>(&params.targets);
  if (paths && paths->mean == "probability" && paths->blocks < context.space.dimension())
    throw SpecError(
        fmt::format("\"mean\": \"probability\" needs exact sums: \"blocks\" of {} or more",
                    context.space.dimension()));
  if (std::holds_alternative<TwoStage>(params.stages) && heads.group(true).empty())
    throw SpecError(
        "\"stages\": \"two_stage\" needs parameters of the marginal head's own: a network for "
        "each role, or one like mlp or unet");
  return std::make_unique<Denoising>(params, heads,
                                     make_labels(params.labels, context.energy, states_of_target));
}

}  // namespace marginalia::mam
