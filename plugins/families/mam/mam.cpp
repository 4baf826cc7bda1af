/// \file
/// Marginalization model: a network F(x_S) for log-marginals in one pass, and any-order
/// conditionals p(x_i | x_S), tied by the one-step identity
///
///   R = F(x_S) + log p(x_i | x_S) - F(x_{S+i}) = 0    for all S, i, x.
///
/// log p(x_S) = F(x_S) - F(empty). With an energy, F(x) = log f(x) is built in at full states, so
/// that F(empty) learns log Z; "kl_penalty", the published objective, learns F there too.
/// Source: Liu, Ramadge, Adams (2024), arXiv:2310.12920, eq. 5 to 9; the built-in density is the
/// detailed-balance form of da Silva, Mesquita, Lahlou (2026), arXiv:2609.11538.
#include <torch/types.h>

#include <marginalia/any_order.h>
#include <marginalia/family.h>
#include <marginalia/gibbs.h>
#include <marginalia/masking.h>
#include <marginalia/plugin.h>

#include "objectives.h"
#include "state_sources.h"

namespace {

using namespace marginalia;

class Mam final : public Family {
 public:
  static constexpr const char* kName = "mam";
  static constexpr const char* kSummary =
      "marginalization model: one-pass marginals tied to any-order conditionals";
  static constexpr const char* kFormula =
      "F(x_S) + log p(x_i | x_S) = F(x_{S+i}),  log p(x_S) = F(x_S) - F(empty)";
  static constexpr const char* kSource = "Liu, Ramadge, Adams (2024), arXiv:2310.12920, eq. 5 to 9";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {{"conditional", kLogits},
                                                                {"marginal", kLogMarginal}};

  struct Params {
    std::string objective = "denoising", states = "gibbs", stages = "joint";
    double consistency_weight = 1, alpha = 4, conditional_fraction = 0.5;
    std::int64_t label_sweeps = 0;
    mam::ChainParams chain;
    void visit(ParamVisitor& p) {
      p("objective", objective,
        {.doc =
             "what is minimised: kl_penalty, REINFORCE on KL plus alpha (D R^2 + (F(empty) - "
             "log K^D)^2); consistency, R^2 in both networks; denoising, masked cross-entropy in "
             "the conditionals and R^2 in the marginals",
         .one_of = {"kl_penalty", "consistency", "denoising"}});
      p("states", states,
        {.doc = "where training states come from",
         .one_of = {"gibbs", "model", "metropolis", "data"}});
      p("stages", stages,
        {.doc =
             "both heads at once, or conditionals first and then marginals of those, which takes "
             "a network for each role or one whose heads share nothing",
         .one_of = {"joint", "two_stage"}});
      p("conditional_fraction", conditional_fraction,
        {.doc = "of training spent on the first stage", .min = 0.0, .max = 1.0});
      p("consistency_weight", consistency_weight, {.doc = "of R^2 (denoising)", .min = 0.0});
      p("label_sweeps", label_sweeps,
        {.doc = "Gibbs sweeps that soften labels (denoising with local conditionals); 0: none",
         .min = 0});
      p("alpha", alpha, {.doc = "weight of the penalty (kl_penalty)", .min = 0.0});
      p.section("chain", chain, "of the states");
    }
  };

  Mam(const Params& params, const FamilyContext& context)
      : params_(params),
        space_(context.space),
        energy_(context.energy),
        device_(context.device),
        conditional_(context.networks.at("conditional", kLogits)),
        marginal_(context.networks.at("marginal", kLogMarginal)),
        source_(mam::make_source(params.states, params.chain, context)) {
    if (params.objective != "denoising" && !energy_)
      throw SpecError("\"objective\": \"" + params.objective + "\" needs an \"energy\"");
    if (params.label_sweeps > 0 && !energy_)
      throw SpecError("\"label_sweeps\" needs an \"energy\"");
    if (params.label_sweeps > 0 && params.states != "gibbs" && params.states != "metropolis")
      throw SpecError("\"label_sweeps\" needs states of the target: \"gibbs\" or \"metropolis\"");
    if (params.label_sweeps > 0) labels_ = std::make_unique<GibbsSampler>(*energy_);
  }

  const StateSpace& space() const override { return space_; }

  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_conditionals();
    all.insert(all.begin(), {QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1"});
    if (density_built_in()) all.push_back({QueryKind::kLogZ, "learned", Status::kEstimate, "1"});
    return all;
  }

  void step(Step& step) override {
    Tensor x;
    {
      torch::NoGradGuard no_grad;
      x = source_->draw(step, step.batch_size(), [this](const Tensor& s) { return sampled(s); });
    }
    if (params_.objective == "kl_penalty")
      kl_penalty(step, x);
    else
      matching(step, x);
  }

  std::vector<ParameterGroup> parameters() override {
    auto conditional = named_parameters_of(*conditional_, "model.conditional.");
    if (conditional_ == marginal_) return {{"conditional", std::move(conditional)}};
    return {{"conditional", std::move(conditional)},
            {"marginal", named_parameters_of(*marginal_, "model.marginal.")}};
  }

  void visit(StateVisitor& v) override {
    v.module("model.conditional.", *conditional_);
    if (conditional_ != marginal_) v.module("model.marginal.", *marginal_);
    source_->visit(v);
  }

  void set_training(bool training) override {
    conditional_->train(training);
    marginal_->train(training);
  }

 private:
  bool density_built_in() const { return energy_ && params_.objective != "kl_penalty"; }

  Tensor log_conditionals(const Tensor& partial) const {
    return conditional_->evaluate({partial.to(device_)}, kLogits).logits.log_softmax(2);
  }
  Tensor sampled(const Tensor& partial) const { return log_conditionals(partial).to(torch::kCPU); }

  /// F as the network has it.
  Tensor network_marginal(const Tensor& partial) const {
    return marginal_->evaluate({partial.to(device_)}, kLogMarginal).log_marginal;
  }

  /// F with log f in its place at full states.
  Tensor with_density(const Tensor& F, const Tensor& partial, const Tensor& log_density) const {
    const auto full = (partial != kUnknown).all(1).to(device_);
    return torch::where(full, log_density.to(device_, torch::kFloat), F);
  }

  /// Both heads of one state in as few passes as the networks allow.
  std::pair<Tensor, Tensor> both(const Tensor& partial) const {
    if (conditional_ != marginal_) return {log_conditionals(partial), network_marginal(partial)};
    const auto heads = conditional_->evaluate({partial.to(device_)}, kLogits | kLogMarginal);
    return {heads.logits.log_softmax(2), heads.log_marginal};
  }

  /// Denoising and consistency: both networks at (s_t, s_{t+1}) in one batch.
  void matching(Step& step, const Tensor& x) {
    const auto B = x.size(0);
    const auto links = mam::draw_links(x, step.stream("family/links"));
    const bool stage_two =
        params_.stages == "two_stage" && step.progress() >= params_.conditional_fraction;
    const bool stage_one = params_.stages == "two_stage" && !stage_two;
    const auto states = torch::cat({links.before, links.after});
    auto [log_p, F] = both(states);
    step.count_passes(2 * B);
    if (density_built_in()) {
      const auto density = step.energy().log_density(x);
      F = with_density(F, states, torch::cat({density, density}));
    }
    auto link_log_p = mam::at_link(log_p.slice(0, 0, B), links);
    const bool couple = params_.objective == "consistency";
    if (!couple) link_log_p = link_log_p.detach();
    const auto R = mam::residual(F.slice(0, 0, B), link_log_p, F.slice(0, B));
    const auto square = R.square().mean();
    step.record("train/consistency", square.item<double>());
    if (couple || stage_two) return step.minimise(square, couple ? "" : marginal_group());
    const auto conditional = denoising(step, x, links, log_p);
    step.record("train/conditional", conditional.item<double>());
    step.minimise(stage_one ? conditional : conditional + params_.consistency_weight * square);
  }

  /// The group that holds the marginal network: all of them when one network has both heads.
  std::string marginal_group() const { return conditional_ == marginal_ ? "" : "marginal"; }

  /// Cross-entropy of all unknown variables at s_t and s_{t+1}, with soft labels where asked for.
  Tensor denoising(Step& step, const Tensor& x, const mam::Links& links, const Tensor& log_p) {
    const auto unknown = torch::cat({links.before, links.after}) == kUnknown;
    const auto twice = torch::cat({x, x});
    if (params_.label_sweeps == 0)
      return masked_cross_entropy(log_p, twice.to(device_), unknown.to(device_)).mean();
    const auto labels = soft_labels(step, twice, unknown);
    return mam::label_divergence(labels.to(device_), log_p, unknown.to(device_)).mean();
  }

  /// p(x_i = k | x_S) averaged over Gibbs sweeps of the unknown variables from x, which is itself a
  /// draw of p(. | x_S): unbiased, with less variance than x_i alone (Rao-Blackwell).
  /// -> float32 [B, D, K].
  Tensor soft_labels(Step& step, const Tensor& x, const Tensor& unknown) const {
    step.energy().count(unknown.sum().item<std::int64_t>() * params_.label_sweeps);
    return labels_->sweep(x, unknown, params_.label_sweeps, step.stream("family/labels"), true)
        .mean;
  }

  /// The published objective, computing only what it uses: one conditional and one marginal batch.
  void kl_penalty(Step& step, const Tensor& x) {
    const auto B = x.size(0), D = x.size(1);
    const auto links = mam::draw_links(x, step.stream("family/links"));
    const auto log_p = mam::at_link(log_conditionals(links.before), links);
    const auto F = network_marginal(torch::cat({x, links.before, links.after, space_.empty()}));
    step.count_passes(4 * B + 1);
    const auto empty = F[3 * B];
    const auto density = step.energy().log_density(x).to(device_, torch::kFloat);
    const auto kl = mam::reinforce(F.slice(0, 0, B) - empty.detach(), density);
    const auto square =
        mam::residual(F.slice(0, B, 2 * B), log_p, F.slice(0, 2 * B, 3 * B)).square().mean();
    const auto anchor = (empty - space_.log_states()).square();
    step.record("train/consistency", square.item<double>());
    step.record("train/anchor", anchor.item<double>());
    step.record("train/kl_less_log_z", (F.slice(0, 0, B) - empty - density).mean().item<double>());
    step.minimise(kl + params_.alpha * (double(D) * square + anchor));
  }

  /// F(x_S) in parts, float64, on the CPU; log f at full states where it is built in.
  Tensor log_sum(const Tensor& partial) const {
    std::vector<Tensor> parts;
    for (const auto& part : partial.split(2048))
      parts.push_back(network_marginal(part).to(torch::kCPU, torch::kDouble));
    auto F = torch::cat(parts);
    if (!density_built_in()) return F;
    const auto full = (partial != kUnknown).all(1);
    const auto rows = full.nonzero().squeeze(1);
    if (rows.numel() > 0) F.index_put_({rows}, energy_->log_density(partial.index({rows})));
    return F;
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (query.kind == QueryKind::kLogZ)
      return {log_sum(space_.empty()), {}, "", Status::kEstimate, 1};
    if (query.kind != QueryKind::kLogMarginal || query.estimator != "one_pass")
      return answer_from_conditionals([this](const Tensor& s) { return sampled(s); }, space_, query,
                                      stream);
    const bool conditioned = query.given.defined();
    const auto base = log_sum(conditioned ? query.given : space_.empty());
    return {log_sum(query.partial) - base, {}, "", Status::kEstimate, conditioned ? 2.0 : 1.0};
  }

  Params params_;
  StateSpace space_;
  const Energy* energy_;
  at::Device device_;
  std::shared_ptr<Network> conditional_, marginal_;
  std::unique_ptr<mam::StateSource> source_;
  std::unique_ptr<GibbsSampler> labels_;
};

}  // namespace
MARGINALIA_PLUGIN(Mam);
