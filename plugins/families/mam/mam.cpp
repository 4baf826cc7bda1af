/// \file
/// Marginalization model: a network F(x_S) for log-marginals in one pass, and any-order
/// conditionals p(x_i | x_S), tied by the one-step identity
///
///   R = F(x_S) + log p(x_i | x_S) - F(x_{S+i}) = 0    for all S, i, x.
///
/// log p(x_S) = F(x_S) - F(empty). A third network, "causal", where the spec
/// names one, gives F most of its value:
///
///   F(x_S) = G(x_S) + sum over i in S of log q(x_i | x_j, j in S before i)
///
/// q learns by maximum likelihood of the states it is shown, a target for each of their variables
/// where R^2 has one number; the marginal network G learns what q lacks. With an energy, F(x) = log
/// f(x) is built in at full states, so that F(empty) learns log Z; "kl_penalty", the published
/// objective, learns F there too. From data, targets along "paths" sum the identity over a whole
/// order, so that errors of links do not add up. "particle" with "states": "model" and a block of 1
/// is the particle GFlowNet: each state x of the chains has one variable made unknown and redrawn,
/// and then
///   loss = mean R(s_{D-1} -> x)^2 + mean R(s_{D-k} -> s_{D-k+1})^2,  k ~ Poisson(log D) in 1..D
/// along uniformly random orders: no more than a few variables unknown, so that F(empty) and with
/// it log Z are learned only where D is small.
/// Source: Liu, Ramadge, Adams (2024), arXiv:2310.12920, eq. 5 to 9; the built-in density is the
/// detailed-balance form of da Silva, Mesquita, Lahlou (2026), arXiv:2609.11538.
#include <fmt/format.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/plugin.h>

#include "heads.h"
#include "objective.h"
#include "params.h"
#include "training_states.h"

namespace marginalia::mam {

class Mam final : public Family {
 public:
  static constexpr const char* kName = "mam";
  static constexpr const char* kSummary =
      "marginalization model: one-pass marginals tied to any-order conditionals";
  static constexpr const char* kFormula =
      "F(x_S) + log p(x_i | x_S) = F(x_{S+i}),  log p(x_S) = F(x_S) - F(empty)";
  static constexpr const char* kSource = "Liu, Ramadge, Adams (2024), arXiv:2310.12920, eq. 5 to 9";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {
      {"conditional", kLogits}, {"marginal", kLogMarginal}, {"causal", kCausalLogits}};

  using Params = mam::Params;
  static Json upgrade(const Json& old, int) { return mam::upgrade(old); }

  Mam(const Params& params, const FamilyContext& context)
      : masks_(params.masks),
        heads_(context, choose_density(params, context)),
        source_(make_source(params.states, context)),
        objective_(std::visit([&](const auto& p) { return build_objective(p, context); },
                              params.objective)) {
    need_complete_rows(context.dataset);
  }

  const StateSpace& space() const override { return heads_.space(); }

  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_conditionals();
    all.insert(all.begin(),
               {QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass});
    if (heads_.density_built_in())
      all.push_back({QueryKind::kLogZ, "learned", Status::kEstimate, "1"});
    return all;
  }

  void step(Step& step) override {
    const auto B = step.batch_size();
    const auto drawn = source_->draw_some(step, (B + masks_ - 1) / masks_, heads_.conditionals());
    objective_->step(step, drawn.repeat_interleave(masks_, 0).slice(0, 0, B), *source_);
  }

  std::vector<ParameterGroup> parameters() override { return heads_.groups(); }
  void visit(StateVisitor& v) override {
    heads_.visit(v);
    source_->visit(v);
  }
  void set_training(bool training) override { heads_.set_training(training); }
  std::vector<std::string> warnings() const override { return source_->warnings(); }
  std::string why_not_data_parallel() const override { return ""; }

 private:
  static const Energy* choose_density(const Params& params, const FamilyContext& context) {
    return std::holds_alternative<KlPenaltyParams>(params.objective) ? nullptr : context.energy;
  }

  std::unique_ptr<Objective> build_objective(const DenoisingParams& params,
                                             const FamilyContext& context) const {
    return make_objective(params, heads_, context, source_->is_of_target());
  }
  template <class P>
  std::unique_ptr<Objective> build_objective(const P& params, const FamilyContext& context) const {
    const auto named = fmt::format("\"objective\": \"{}\"", P::kName);
    if (!context.energy) throw SpecError(named + " needs an \"energy\"");
    if (heads_.causal())
      throw SpecError(
          "a network for the role \"causal\" is for \"objective\": \"denoising\", not " + named);
    return make_objective(params, heads_);
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (query.kind == QueryKind::kLogZ)
      return {heads_.log_sum(space().empty()), {}, "", Status::kEstimate, 1};
    if (query.kind != QueryKind::kLogMarginal || query.estimator != "one_pass")
      return answer_from_conditionals(heads_.conditionals(), query, stream,
                                      {.colours = heads_.conditional()->colours()});
    // The marginals that are divided by are computed in the same passes.
    const bool conditioned = query.given.defined();
    const auto F =
        heads_.log_sum(torch::cat({query.partial, conditioned ? query.given : space().empty()}));
    const auto B = query.partial.size(0);
    return {F.slice(0, 0, B) - F.slice(0, B), {}, "", Status::kEstimate, conditioned ? 2.0 : 1.0};
  }

  std::int64_t masks_;
  Heads heads_;
  std::unique_ptr<TrainingStates> source_;
  std::unique_ptr<Objective> objective_;
};

}  // namespace marginalia::mam
MARGINALIA_PLUGIN(marginalia::mam::Mam);
