#include <torch/types.h>

#include <fmt/format.h>

#include <marginalia/error.h>
#include <marginalia/inference/masking.h>

#include "objective.h"

namespace marginalia::masked_diffusion {
namespace {

/// A step on the bound on -log p(x), in nats a variable.
void denoise(Step& step, const Tensor& states, const Model& model, const HiddenParams& params) {
  auto& stream = step.stream("family/masks");
  const auto* by_time = std::get_if<ByTime>(&params);
  const auto all = by_time ? hide_by_time(states, model.schedule, by_time->least_time, stream)
                           : hide_by_size(states, stream);
  const auto x = step.share(states);
  const Hidden hidden{step.share(all.partial), step.share(all.unknown), step.share(all.weight)};
  step.count_passes(x.size(0));
  const auto loss = bound(model.network.log_conditionals(hidden.partial), x, hidden).mean();
  step.minimise(loss / double(model.space.dimension()));
}

class Elbo final : public Objective {
 public:
  Elbo(const ElboParams& params, const Model& model) : Objective(model), params_(params) {}
  void step(Step& step) override { denoise(step, step.batch(), model_, params_.hidden); }

 private:
  ElboParams params_;
};

/// Learns from the model's own paths, by what an energy says of their ends.
class FromEnergy : public Objective {
 public:
  using Objective::Objective;
  const RunningLogZ* log_z() const final { return &log_z_; }
  void visit(StateVisitor& v) override { log_z_.visit(v); }

 protected:
  /// The model's own paths from this process's partial states [B, D] on: log q of what was unknown,
  /// and log f of their ends at b = 1. `orders` begin with what is known.
  struct Paths {
    Tensor states, orders, log_q, log_f;
  };
  Paths draw_paths(Step& step, const Tensor& partial) {
    torch::NoGradGuard no_grad;
    auto& stream = step.own_stream("family/paths");
    const auto key = stream.uniform(partial.sizes()).masked_fill(partial != kUnknown, -1);
    const auto orders = key.argsort(std::int64_t{1});
    const auto sample = sample_chain(model_.network.conditionals(), partial, orders, stream);
    step.count_passes((partial == kUnknown).sum().item<std::int64_t>());
    const auto log_f =
        step.energy().log_density(sample.states) / step.energy().inverse_temperature();
    const auto from_empty = step.gather((partial == kUnknown).all(1).to(torch::kByte)) != 0;
    const auto W = step.gather(log_f - sample.log_prob);
    if (from_empty.any().item<bool>()) log_z_.add(W.masked_select(from_empty));
    return {sample.states, orders, sample.log_prob, log_f};
  }
  Tensor empty_states(std::int64_t rows) const {
    return model_.space.empty().expand({rows, -1}).contiguous();
  }

 private:
  RunningLogZ log_z_;
};

class LogVariance final : public FromEnergy {
 public:
  LogVariance(const LogVarianceParams& params, const Model& model)
      : FromEnergy(model), params_(params) {}

  void step(Step& step) override {
    // Paths that begin together are of one rank.
    const auto B = step.share_of(step.batch_size()), D = model_.space.dimension();
    const auto branches = draw_branches(B, D, params_.siblings, params_.root_fraction,
                                        step.own_stream("family/branches"));
    const auto roots = draw_in_part(step, branches.roots);
    const auto paths = draw_paths(step, roots.index_select(0, branches.parent));
    const auto n = params_.terms == 0 ? D : std::min(params_.terms, D);
    const auto& network = model_.network;
    const auto log_q = some_terms(network.conditionals(network.device()), paths.states,
                                  paths.orders, branches.first, n, step.own_stream("family/terms"));
    step.count_passes(B * n);
    const auto W = step.energy().inverse_temperature() * paths.log_f - paths.log_q;
    const auto from_empty = branches.first == 0;
    if (from_empty.any().item<bool>())
      step.record("train/elbo", W.masked_select(from_empty).mean().item<double>());
    step.minimise(log_variance(W, log_q, branches.parent));
  }

 private:
  /// States of which the model has drawn `sizes` variables, int64 [G], in a random order.
  Tensor draw_in_part(Step& step, const Tensor& sizes) const {
    torch::NoGradGuard no_grad;
    auto& stream = step.own_stream("family/paths");
    const auto empty = empty_states(sizes.size(0));
    const auto rank = to_ranks(stream.permutations(empty.size(0), empty.size(1)));
    const auto time = rank.masked_fill(rank >= sizes.unsqueeze(1), -1);  // -1: never
    step.count_passes(sizes.sum().item<std::int64_t>());
    return sample_in_passes(model_.network.conditionals(), empty, time, stream).states;
  }

  LogVarianceParams params_;
};

class WeightedDenoising final : public FromEnergy {
 public:
  WeightedDenoising(const WeightedDenoisingParams& params, const Model& model)
      : FromEnergy(model), params_(params), replay_(params.replay) {
    if (params.replay.fresh > params.replay.size)
      throw SpecError("\"replay.fresh\" must not exceed \"replay.size\"");
  }

  void step(Step& step) override {
    if (replay_.due(step.index())) draw_fresh(step);
    const auto b = step.energy().inverse_temperature();
    const auto x = replay_.draw(step.batch_size(), b, step.stream("family/replay"));
    denoise(step, x.repeat({params_.replay.replicates, 1}), model_, params_.hidden);
  }
  void visit(StateVisitor& v) override {
    FromEnergy::visit(v);
    replay_.visit(v);
  }

 private:
  void draw_fresh(Step& step) {
    const auto own = draw_paths(step, empty_states(step.share_of(params_.replay.fresh)));
    replay_.add(step.index(), step.gather(own.states), step.gather(own.log_f),
                step.gather(own.log_q));
    const auto weights = replay_.weights(step.energy().inverse_temperature());
    const auto effective = 1 / weights.square().sum().item<double>();
    step.record("train/replay_ess", effective / double(weights.numel()));
  }

  WeightedDenoisingParams params_;
  Replay replay_;
};

void check_energy(const char* objective, const FamilyContext& context) {
  if (!context.energy)
    throw SpecError(fmt::format("\"objective\": \"{}\" learns from an \"energy\"", objective));
}

}  // namespace

std::unique_ptr<Objective> make_objective(const AutoParams& params, const Model& model,
                                          const FamilyContext& context) {
  if (context.dataset) return make_objective(ElboParams{params.hidden}, model, context);
  return make_objective(WeightedDenoisingParams{params.hidden, params.replay}, model, context);
}

std::unique_ptr<Objective> make_objective(const ElboParams& params, const Model& model,
                                          const FamilyContext& context) {
  if (!context.dataset)
    throw SpecError("\"objective\": \"elbo\" learns from a \"dataset\"; the spec has none");
  return std::make_unique<Elbo>(params, model);
}

std::unique_ptr<Objective> make_objective(const LogVarianceParams& params, const Model& model,
                                          const FamilyContext& context) {
  check_energy(params.kName, context);
  return std::make_unique<LogVariance>(params, model);
}

std::unique_ptr<Objective> make_objective(const WeightedDenoisingParams& params, const Model& model,
                                          const FamilyContext& context) {
  check_energy(params.kName, context);
  return std::make_unique<WeightedDenoising>(params, model);
}

}  // namespace marginalia::masked_diffusion
