/// \file
/// Masked diffusion: an absorbing process hides variables one by one, p(x_i | x_S) brings them
/// back. The posterior of an absorbing process does not depend on t, and neither does the network.
///
///   -log p(x) <= integral over t in 0..1 of w(t) E sum over hidden i of -log p(x_i | x_S),
///   each i hidden with probability m(t) = 1 - alpha(t),  w = d log m / dt,
/// which is the mean over orders of -log p(x | order), whatever m. Objectives:
///   elbo                 this bound, of data
///   log_variance         of an energy f: Var W over the model's own paths, with
///                        W = log f(x) - sum_t log p(x_{order t} | x_{order <t}) = log Z
///                        at best; with siblings also of paths that begin at one x_S, group by
///                        group: log q is then of what follows, and W at best the log of the sum
///                        of f over the completions of x_S
///   weighted_denoising   the bound of kept paths' ends, by weights softmax(W), each hidden several
///                        times: forward KL, and no backward pass through a path
/// Annealed training (training.anneal) replaces f by f^b, of kept paths as well: a warm start from
/// high temperature.
///
/// One variable at a time, log q(x | order) is exact along the order drawn. In T steps ("steps")
/// those of a step are drawn independently of each other: another, approximate law, whose log q is
/// that of the steps drawn. A corrector redraws some after each step; then log q is unknown.
/// Source: Sahoo et al. (2024), arXiv:2406.07524; Shi et al. (2024), arXiv:2406.04329;
/// energies: Zhu et al. (2025), arXiv:2508.10684; remasking: Wang et al. (2025), arXiv:2503.00307.
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>

#include "absorbing.h"
#include "objective.h"
#include "params.h"
#include "sampling.h"
#include "shared/families/role_network.h"

namespace {

using namespace marginalia;
namespace md = masked_diffusion;

class MaskedDiffusion final : public Family {
 public:
  static constexpr const char* kName = "masked_diffusion";
  static constexpr const char* kSummary =
      "masked diffusion in continuous time, from data or an energy";
  static constexpr const char* kFormula =
      "-log p(x) <= integral of w(t) E sum_{hidden i} -log p(x_i | x_S);  W = log f(x) - log p(x | "
      "order)";
  static constexpr const char* kSource =
      "Sahoo et al. (2024), arXiv:2406.07524; Shi et al. (2024), arXiv:2406.04329; from an energy: "
      "Zhu et al. (2025), arXiv:2508.10684";
  static constexpr const char* kExample =
      R"({"objective": {"replay": {"size": 32, "fresh": 16, "every": 2}}})";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {{"conditional", kLogits}};

  using Params = md::Params;
  static Json upgrade(const Json& old, int) { return md::upgrade(old); }

  MaskedDiffusion(const Params& params, const FamilyContext& context)
      : params_(params),
        schedule_(md::schedule_named(params.schedule)),
        space_(context.space),
        network_(context, "conditional", kLogits),
        objective_(std::visit(
            [&](const auto& chosen) {
              return md::make_objective(chosen, {space_, network_, schedule_}, context);
            },
            params.objective)) {}

  const StateSpace& space() const override { return space_; }

  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_conditionals();
    all.push_back({QueryKind::kLogMarginal, "continuous_time", Status::kEstimate, "orders"});
    // The first way to sample is the one that is taken.
    const auto sample = std::ranges::find(all, QueryKind::kSample, &Capability::kind);
    if (corrects())
      all.insert(sample, {QueryKind::kSample, "corrected", Status::kEstimate,
                          "|U|, or steps (1 + rounds)"});
    else
      all.insert(sample, {QueryKind::kSample, "diffusion", Status::kExact, "|U|, or steps"});
    if (objective_->log_z()) all.push_back({QueryKind::kLogZ, "learned", Status::kEstimate, "0"});
    return all;
  }

  void step(Step& step) override { objective_->step(step); }

  std::vector<ParameterGroup> parameters() override { return {network_.group()}; }
  void visit(StateVisitor& v) override {
    network_.visit(v);
    objective_->visit(v);
  }
  void set_training(bool training) override { network_->train(training); }
  std::string why_not_data_parallel() const override { return ""; }

 private:
  bool corrects() const { return params_.corrector.rounds > 0; }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (query.kind == QueryKind::kLogZ)
      return {objective_->log_z()->value(), {}, "", Status::kEstimate, 0};
    if (query.estimator == "continuous_time") {
      const auto s = md::score_by_time(network_.conditionals(), query.partial, query.given,
                                       query.orders, stream);
      return {.value = s.log_prob, .passes = s.passes};
    }
    const bool in_steps = query.estimator == "diffusion" || query.estimator == "corrected";
    if (in_steps && query.steps > 0) return in_steps_of_time(query, stream);
    return answer_from_conditionals(network_.conditionals(), query, stream,
                                    {.colours = network_->colours()});
  }

  Answer in_steps_of_time(const Query& query, Stream& stream) const {
    if (query.order != Order::kRandom)
      throw SpecError("in \"steps\" variables are revealed at random times; an \"order\" of "
                      "theirs is for samples of one variable at a time");
    const auto& partial = query.partial;
    const auto time =
        md::draw_reveal_times(schedule_, partial.size(0), partial.size(1), query.steps, stream);
    const auto s = corrects() ? md::sample_corrected(network_.conditionals(), partial, time,
                                                     params_.corrector, stream)
                              : sample_in_passes(network_.conditionals(), partial, time, stream);
    return {.value = s.log_prob,
            .states = s.states,
            .status = corrects() ? Status::kEstimate : Status::kExact,
            .passes = s.passes};
  }

  Params params_;
  md::Schedule schedule_;
  StateSpace space_;
  RoleNetwork network_;
  std::unique_ptr<md::Objective> objective_;
};

}  // namespace
MARGINALIA_PLUGIN(MaskedDiffusion);
