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
/// objective, learns F there too. From data, "blocks" sums the identity along a whole order, so
/// that errors of links do not add up. "particle" with "states": "model" and a block of 1 is the
/// particle GFlowNet: each state x of the chains has one variable made unknown and redrawn, and
/// then
///   loss = mean R(s_{D-1} -> x)^2 + mean R(s_{D-k} -> s_{D-k+1})^2,  k ~ Poisson(log D) in 1..D
/// along uniformly random orders: no more than a few variables unknown, so that F(empty) and with
/// it log Z are learned only where D is small.
/// Source: Liu, Ramadge, Adams (2024), arXiv:2310.12920, eq. 5 to 9; the built-in density is the
/// detailed-balance form of da Silva, Mesquita, Lahlou (2026), arXiv:2609.11538.
#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/gibbs.h>
#include <marginalia/inference/masking.h>
#include <marginalia/inference/single_changes.h>
#include <marginalia/plugin.h>

#include "causal.h"
#include "objectives.h"
#include "params.h"
#include "shared/families/role_network.h"
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
  static constexpr std::pair<const char*, unsigned> kRoles[] = {
      {"conditional", kLogits}, {"marginal", kLogMarginal}, {"causal", kCausalLogits}};

  using Params = mam::Params;

  Mam(const Params& params, const FamilyContext& context)
      : params_(mam::checked(params, context)),
        space_(context.space),
        energy_(context.energy),
        device_(context.device),
        conditional_(context, "conditional", kLogits),
        marginal_(context, "marginal", kLogMarginal),
        causal_(mam::Causal::of(context)),
        source_(mam::make_source(params_.states, params.chain, context)) {
    check_networks();
    if (params.on_policy > 0) on_policy_ = mam::make_source("model", params.chain, context);
    if (params.label_sweeps > 0) labels_ = std::make_unique<GibbsSampler>(*energy_);
  }

  const StateSpace& space() const override { return space_; }

  std::vector<Capability> capabilities() const override {
    auto all = capabilities_of_conditionals();
    all.insert(all.begin(),
               {QueryKind::kLogMarginal, "one_pass", Status::kEstimate, "1", Route::kOnePass});
    if (density_built_in()) all.push_back({QueryKind::kLogZ, "learned", Status::kEstimate, "1"});
    return all;
  }

  void step(Step& step) override {
    const auto B = step.batch_size(), masks = params_.masks;
    const auto drawn = draw(*source_, step, (B + masks - 1) / masks);
    const auto x = drawn.repeat_interleave(masks, 0).slice(0, 0, B);
    if (params_.objective == "kl_penalty") return kl_penalty(step, x);
    if (params_.objective == "particle") return particle(step, x);
    if (params_.stages == "joint") return matching(step, x, false);
    const auto f = params_.conditional_fraction;
    const bool first = step.progress() < f;
    step.set_stage(first ? 0 : f, first ? f : 1);
    for (auto& [_, parameter] : group(false))
      parameter.set_requires_grad(first);
    if (first)
      conditionals_alone(step, x);
    else
      matching(step, x, true);
  }

  std::vector<ParameterGroup> parameters() override {
    std::vector<ParameterGroup> groups{{"conditional", group(false)}, {"marginal", group(true)}};
    if (causal_) groups.push_back(causal_->network().group());
    return groups;
  }

  void visit(StateVisitor& v) override {
    conditional_.visit(v);
    if (!shared()) marginal_.visit(v);
    if (causal_) causal_->network().visit(v);
    source_->visit(v);
    if (on_policy_) on_policy_->visit(v);
  }

  void set_training(bool training) override {
    conditional_->train(training);
    marginal_->train(training);
    if (causal_) causal_->network()->train(training);
  }

 private:
  void check_networks() const {
    if (causal_ && params_.objective != "denoising")
      throw SpecError("a network for the role \"causal\" is for \"objective\": \"denoising\"");
    if (params_.stages == "two_stage" && group(true).empty())
      throw SpecError(
          "\"stages\": \"two_stage\" needs parameters of the marginal head's own: a network for "
          "each role, or one like mlp or unet");
  }

  /// The parameters that the marginal head alone uses, or the others.
  std::vector<std::pair<std::string, Tensor>> group(bool marginal) const {
    if (!shared()) return (marginal ? marginal_ : conditional_).parameters();
    std::vector<std::pair<std::string, Tensor>> chosen;
    for (auto& entry : conditional_.parameters())
      if (entry.first.starts_with(conditional_.prefix() + "marginal") == marginal)
        chosen.push_back(entry);
    return chosen;
  }

  /// Whether both heads are of one network.
  bool shared() const { return conditional_.shares(marginal_); }
  bool density_built_in() const { return energy_ && params_.objective != "kl_penalty"; }

  Tensor draw(mam::StateSource& source, Step& step, std::int64_t rows) const {
    torch::NoGradGuard no_grad;
    return source.draw(step, rows, conditional_.conditionals());
  }

  /// x, with the last of its rows from the model's own chains where that is asked for.
  Tensor with_on_policy(Step& step, const Tensor& x) const {
    const auto rows = std::int64_t(params_.on_policy * double(x.size(0)));
    if (rows == 0) return x;
    return torch::cat({x.slice(0, 0, x.size(0) - rows), draw(*on_policy_, step, rows)});
  }

  /// F with log f in its place at full states.
  Tensor with_density(const Tensor& F, const Tensor& partial, const Tensor& log_density) const {
    const auto full = (partial != kUnknown).all(1).to(device_);
    return torch::where(full, log_density.to(F.options()), F);
  }

  /// Both heads of one state in as few passes as the networks allow.
  std::pair<Tensor, Tensor> both(const Tensor& partial) const {
    if (!shared()) return {conditional_.log_conditionals(partial), marginal_.log_marginal(partial)};
    const auto heads = conditional_.evaluate(partial, kLogits | kLogMarginal);
    return {heads.logits.log_softmax(2), heads.log_marginal};
  }

  /// Stage one: what any_order_arm does, with soft labels where asked for.
  void conditionals_alone(Step& step, const Tensor& x) {
    const auto masked = mask_uniformly(x, step.stream("family/masks"));
    step.count_passes(x.size(0));
    const auto log_p = conditional_.log_conditionals(masked.partial);
    const auto loss = denoising(step, x, masked.unknown, log_p);
    step.record("train/conditional", loss.item<double>());
    step.minimise(loss, "conditional");
  }

  /// Maximum likelihood of partial states, where there is a causal network. -> log q, a constant.
  Tensor learn_causal(Step& step, const Tensor& partial) {
    if (!causal_) return torch::zeros({}, device_);
    step.count_passes(partial.size(0));
    const auto log_q = causal_->log_prob(partial);
    const auto loss = -log_q.mean();
    step.record("train/causal", loss.item<double>());
    step.minimise(loss, "causal");
    return log_q.detach();
  }

  /// Marginals from conditionals, and unless `frozen` the conditionals too.
  void matching(Step& step, const Tensor& x, bool frozen) {
    if (params_.blocks > 0)
      along_paths(step, x, frozen);
    else
      at_links(step, x, frozen);
  }

  void along_paths(Step& step, const Tensor& x, bool frozen) {
    const auto square = path_residual(step, with_on_policy(step, x));
    step.record("train/consistency", square.item<double>());
    if (frozen) return step.minimise(square, "marginal");
    const auto masked = mask_uniformly(x, step.stream("family/masks"));
    step.count_passes(x.size(0));
    const auto conditional =
        denoising(step, x, masked.unknown, conditional_.log_conditionals(masked.partial));
    step.record("train/conditional", conditional.item<double>());
    step.minimise(conditional + params_.consistency_weight * square);
  }

  /// R^2 at one link of each row; in joint training both of its states teach the conditionals too.
  void at_links(Step& step, const Tensor& x, bool frozen) {
    const auto states = with_on_policy(step, x);
    const auto B = x.size(0);
    const auto links = mam::draw_links(states, params_.size_power, step.stream("family/links"));
    const auto pair = torch::cat({links.before, links.after});
    auto [log_p, F] = both(pair);
    F = F + learn_causal(step, pair);
    step.count_passes(2 * B);
    if (density_built_in()) {
      const auto density = step.energy().log_density(states);
      F = with_density(F, pair, torch::cat({density, density}));
    }
    const bool couple = params_.objective == "consistency";
    const auto link_log_p = mam::at_link(log_p.slice(0, 0, B), links);
    const auto R =
        mam::residual(F.slice(0, 0, B), couple ? link_log_p : link_log_p.detach(), F.slice(0, B));
    const auto square = R.square().mean();
    step.record("train/consistency", square.item<double>());
    if (couple || frozen) return step.minimise(square, couple ? "" : "marginal");
    const auto conditional = denoising_of_data(step, x, pair, log_p);
    step.record("train/conditional", conditional.item<double>());
    step.minimise(conditional + params_.consistency_weight * square);
  }

  /// The local loss, whose terminal side is the density, and the information loss.
  void particle(Step& step, const Tensor& x) {
    const auto B = x.size(0), D = x.size(1);
    auto& stream = step.stream("family/links");
    const auto last = mam::links_at(x, torch::full({B}, D - 1, torch::kLong), stream);
    const auto back = mam::links_at(x, D - mam::truncated_poisson(B, D, stream), stream);
    const auto before = both(torch::cat({last.before, back.before}));
    const auto after = marginal_.log_marginal(back.after);
    step.count_passes(3 * B);
    const auto density = step.energy().log_density(x);
    const auto square = [&](const mam::Links& links, std::int64_t at, const Tensor& F) {
      const auto log_p = mam::at_link(before.first.slice(0, at, at + B), links);
      return mam::residual(before.second.slice(0, at, at + B), log_p, F).square().mean();
    };
    const auto local = square(last, 0, density.to(before.second.options()));
    const auto information = square(back, B, with_density(after, back.after, density));
    step.record("train/local", local.item<double>());
    step.record("train/information", information.item<double>());
    step.minimise(local + information);
  }

  /// On-policy rows, the last ones, are the model's own: only data teach the conditionals.
  Tensor denoising_of_data(Step& step, const Tensor& x, const Tensor& pair, const Tensor& log_p) {
    const auto B = x.size(0), kept = B - std::int64_t(params_.on_policy * double(B));
    const auto of_data = [&](const Tensor& t) {
      return torch::cat({t.slice(0, 0, kept), t.slice(0, B, B + kept)});
    };
    const auto twice = x.slice(0, 0, kept).repeat({2, 1});
    return denoising(step, twice, of_data(pair) == kUnknown, of_data(log_p));
  }

  /// mean over the cuts of a whole order of (F(s_c) - F(empty) - sum of conditionals up to c)^2.
  Tensor path_residual(Step& step, const Tensor& x) {
    mam::Paths paths;
    {
      torch::NoGradGuard no_grad;
      paths = mam::draw_paths(x, params_.blocks, params_.points, conditional_.conditionals(),
                              step.stream("family/links"));
    }
    step.count_passes(paths.passes + paths.states.size(0) + 1);
    const auto states = torch::cat({paths.states, space_.empty()});
    auto F = marginal_.log_marginal(states) + learn_causal(step, states);
    if (density_built_in()) {
      const auto rows = states.slice(0, -1 - x.size(0), -1);  // the last cut is the full state
      const auto density = step.energy().log_density(rows);
      F = torch::cat({F.slice(0, 0, -1 - x.size(0)), density.to(F.options()), F.slice(0, -1)});
    }
    const auto sums = paths.log_prob.to(F.options());
    return (F.slice(0, 0, -1) - F[F.size(0) - 1] - sums).square().mean();
  }

  /// Cross-entropy of the unknown variables, with soft labels where asked for. x is a draw of
  /// p(. | x_S), so p(x_i = k | all others) has the mean p(x_i = k | x_S): an unbiased label with
  /// less variance than x_i alone (Rao-Blackwell).
  Tensor denoising(Step& step, const Tensor& x, const Tensor& unknown, const Tensor& log_p) {
    if (params_.label_sweeps == 0 && !params_.label_changes)
      return masked_cross_entropy(log_p, x.to(device_), unknown.to(device_)).mean();
    const auto labels = params_.label_changes ? conditionals_by_changes(step.energy(), x)
                                              : soft_labels(step, x, unknown);
    return mam::label_divergence(labels.to(device_), log_p, unknown.to(device_)).mean();
  }

  /// p(x_i = k | all others) averaged over Gibbs sweeps of the unknown variables from x.
  /// -> float32 [B, D, K].
  Tensor soft_labels(Step& step, const Tensor& x, const Tensor& unknown) const {
    auto& stream = step.stream("family/labels");
    return labels_->sweep(step.energy(), x, unknown, params_.label_sweeps, stream, true).mean;
  }

  /// The published objective, computing only what it uses: one conditional and one marginal batch.
  void kl_penalty(Step& step, const Tensor& x) {
    const auto B = x.size(0), D = x.size(1);
    const auto links = mam::draw_links(x, 1, step.stream("family/links"));
    const auto log_p = mam::at_link(conditional_.log_conditionals(links.before), links);
    const auto F =
        marginal_.log_marginal(torch::cat({x, links.before, links.after, space_.empty()}));
    step.count_passes(4 * B + 1);
    const auto empty = F[3 * B];
    const auto density = step.energy().log_density(x).to(F.options());
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
    for (const auto& part : partial.split(rows_a_pass(partial.size(1)))) {
      auto F = marginal_.log_marginal(part);
      if (causal_) F = F + causal_->log_prob(part);
      parts.push_back(F.to(torch::kCPU, torch::kDouble));
    }
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
      return answer_from_conditionals(conditional_.conditionals(), query, stream,
                                      {.colours = conditional_->colours()});
    // What is divided by rides along in the same passes.
    const bool conditioned = query.given.defined();
    const auto F = log_sum(torch::cat({query.partial, conditioned ? query.given : space_.empty()}));
    const auto B = query.partial.size(0);
    return {F.slice(0, 0, B) - F.slice(0, B), {}, "", Status::kEstimate, conditioned ? 2.0 : 1.0};
  }

  Params params_;
  StateSpace space_;
  const Energy* energy_;
  at::Device device_;
  RoleNetwork conditional_;
  RoleNetwork marginal_;  // of F less what the causal network says
  std::optional<mam::Causal> causal_;
  std::unique_ptr<mam::StateSource> source_, on_policy_;
  std::unique_ptr<GibbsSampler> labels_;
};

}  // namespace
MARGINALIA_PLUGIN(Mam);
