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

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>

#include "absorbing.h"
#include "paths.h"
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
  static constexpr const char* kExample = R"({"replay": {"size": 32, "fresh": 16, "every": 2}})";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {{"conditional", kLogits}};

  struct Params {
    std::string objective = "auto", schedule = "linear", hidden = "by_time";
    double least_time = 1e-3;
    std::int64_t terms = 0, siblings = 1;
    double whole = 0.5;
    md::ReplayParams replay;
    md::Corrector corrector;
    void visit(ParamVisitor& p) {
      p("objective", objective,
        {.doc = "the continuous-time bound of a dataset; of an energy the variance of log f - log "
                "q over paths, or the bound of weighted paths; auto: the first where there is a "
                "dataset, else the last",
         .one_of = {"auto", "elbo", "log_variance", "weighted_denoising"}});
      p("schedule", schedule,
        {.doc = "m(t), the share hidden by time t: t, t^2 or sin(pi t / 2); also of the steps of "
                "samples",
         .one_of = {"linear", "quadratic", "cosine"}});
      p("hidden", hidden,
        {.doc = "what the bound is estimated from: a time for each row, as published, or a number "
                "of variables, which integrates over times in closed form and is less noisy",
         .one_of = {"by_time", "by_size"}});
      p("least_time", least_time,
        {.doc = "t from which the bound is integrated (by_time)", .min = 1e-6, .max = 0.5});
      p("terms", terms,
        {.doc = "of each path that log-variance takes the gradient of, drawn at random; 0: all D",
         .min = 0});
      p("siblings", siblings,
        {.doc =
             "paths that begin together at a state which the model has drawn in part, and have a "
             "variance of their own, so that what came before is no noise (log_variance); 1: all "
             "begin at nothing",
         .min = 1});
      p("whole", whole,
        {.doc = "share of the paths that begin at nothing where there are siblings",
         .min = 0.0,
         .max = 1.0});
      p.section("replay", replay, "paths kept (weighted_denoising)");
      p.section("corrector", corrector, "of samples in steps");
    }
  };

  MaskedDiffusion(const Params& params, const FamilyContext& context)
      : params_(params),
        schedule_(md::schedule_named(params.schedule)),
        space_(context.space),
        network_(context, "conditional", kLogits),
        replay_(params.replay) {
    auto& objective = params_.objective;
    if (objective == "auto") objective = context.dataset ? "elbo" : "weighted_denoising";
    if (objective == "elbo" && !context.dataset)
      throw SpecError("\"objective\": \"elbo\" learns from a \"dataset\"; the spec has none");
    if (objective != "elbo" && !context.energy)
      throw SpecError("\"objective\": \"" + objective + "\" learns from an \"energy\"");
    if (params.siblings > 1 && objective != "log_variance")
      throw SpecError("\"siblings\" is for \"objective\": \"log_variance\"");
    if (params.replay.fresh > params.replay.size)
      throw SpecError("\"replay.fresh\" must not exceed \"replay.size\"");
  }

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
    if (from_energy()) all.push_back({QueryKind::kLogZ, "learned", Status::kEstimate, "0"});
    return all;
  }

  void step(Step& step) override {
    if (params_.objective == "elbo") return denoise(step, step.batch());
    if (params_.objective == "log_variance") return log_variance(step);
    if (replay_.due(step.index())) draw_fresh(step);
    const auto b = step.energy().inverse_temperature();
    const auto x = replay_.draw(step.batch_size(), b, step.stream("family/replay"));
    denoise(step, x.repeat({params_.replay.replicates, 1}));
  }

  std::vector<ParameterGroup> parameters() override { return {network_.group()}; }
  void visit(StateVisitor& v) override {
    network_.visit(v);
    if (!from_energy()) return;
    log_z_.visit(v);
    replay_.visit(v);
  }
  void set_training(bool training) override { network_->train(training); }

 private:
  bool from_energy() const { return params_.objective != "elbo"; }
  bool corrects() const { return params_.corrector.rounds > 0; }

  /// The bound on -log p(x), in nats a variable.
  void denoise(Step& step, const Tensor& x) const {
    auto& stream = step.stream("family/masks");
    const auto hidden = params_.hidden == "by_size"
                            ? md::hide_by_size(x, stream)
                            : md::hide_by_time(x, schedule_, params_.least_time, stream);
    step.count_passes(x.size(0));
    const auto loss = md::bound(network_.log_conditionals(hidden.partial), x, hidden).mean();
    step.minimise(loss / double(space_.dimension()));
  }

  /// The model's own paths from partial states [B, D] on: log q of what was unknown, and log f of
  /// their ends at b = 1. `orders` begin with what is known.
  struct Paths {
    Tensor states, orders, log_q, log_f;
  };
  Paths draw_paths(Step& step, const Tensor& partial) {
    torch::NoGradGuard no_grad;
    auto& stream = step.stream("family/paths");
    const auto key = stream.uniform(partial.sizes()).masked_fill(partial != kUnknown, -1);
    const auto orders = key.argsort(std::int64_t{1});
    const auto sample = sample_chain(network_.conditionals(), partial, orders, stream);
    step.count_passes((partial == kUnknown).sum().item<std::int64_t>());
    const auto log_f =
        step.energy().log_density(sample.states) / step.energy().inverse_temperature();
    const auto whole = (partial == kUnknown).all(1);
    if (whole.any().item<bool>()) log_z_.add((log_f - sample.log_prob).masked_select(whole));
    return {sample.states, orders, sample.log_prob, log_f};
  }

  /// States of which the model has drawn `sizes` variables, int64 [G], in a random order.
  Tensor draw_in_part(Step& step, const Tensor& sizes) const {
    torch::NoGradGuard no_grad;
    auto& stream = step.stream("family/paths");
    const auto nothing = space_.empty().expand({sizes.size(0), -1}).contiguous();
    const auto rank = ranks_of(stream.permutations(nothing.size(0), nothing.size(1)));
    const auto time = rank.masked_fill(rank >= sizes.unsqueeze(1), -1);  // -1: never
    step.count_passes(sizes.sum().item<std::int64_t>());
    return sample_in_passes(network_.conditionals(), nothing, time, stream).states;
  }

  void log_variance(Step& step) {
    const auto B = step.batch_size(), D = space_.dimension();
    const auto branches =
        md::draw_branches(B, D, params_.siblings, params_.whole, step.stream("family/branches"));
    const auto roots = draw_in_part(step, branches.roots);
    const auto paths = draw_paths(step, roots.index_select(0, branches.parent));
    const auto n = params_.terms == 0 ? D : std::min(params_.terms, D);
    const auto log_q = md::some_terms(network_.conditionals(network_.device()), paths.states,
                                      paths.orders, branches.first, n, step.stream("family/terms"));
    step.count_passes(B * n);
    const auto W = step.energy().inverse_temperature() * paths.log_f - paths.log_q;
    const auto whole = branches.first == 0;
    if (whole.any().item<bool>())
      step.record("train/elbo", W.masked_select(whole).mean().item<double>());
    step.minimise(md::log_variance(W, log_q, branches.parent));
  }

  void draw_fresh(Step& step) {
    const auto nothing = space_.empty().expand({params_.replay.fresh, -1}).contiguous();
    const auto paths = draw_paths(step, nothing);
    replay_.add(step.index(), paths.states, paths.log_f, paths.log_q);
    const auto weights = replay_.weights(step.energy().inverse_temperature());
    const auto effective = 1 / weights.square().sum().item<double>();
    step.record("train/replay_ess", effective / double(weights.numel()));
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (query.kind == QueryKind::kLogZ) return {log_z_.value(), {}, "", Status::kEstimate, 0};
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
  md::Replay replay_;
  md::RunningLogZ log_z_;
};

}  // namespace
MARGINALIA_PLUGIN(MaskedDiffusion);
