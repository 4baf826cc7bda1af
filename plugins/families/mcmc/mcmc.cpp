/// \file
/// Markov chain Monte Carlo on an energy: reference samples with nothing to learn.
///
///   gibbs               x_i ~ p(x_i | all others), variable by variable; colour by colour where
///                       variables share no factor (a checkerboard, where the graph is bipartite)
///   block_gibbs         whole trees of variables at once, exactly, given the others
///   metropolis          another value of one variable, taken with probability min(1, f(x') / f(x))
///   swendsen_wang, wolff  clusters of equal values move together (ferromagnets)
///   parallel_tempering  Gibbs at several temperatures that exchange their states
/// A step of training is `sweeps` sweeps of all chains, the first one `burn_in` more; samples go on
/// from where training stopped. Diagnostics a step: mean log f, and the split R-hat of log f over
/// the second half of all steps. As evaluation.reference it runs chains of its own, untrained.
/// Gibbs, block_gibbs, metropolis and tempering redraw variables that factors with forbidden
/// entries tie together, where that can be summed exactly; variables that no move changes all the
/// same are told.
#include <algorithm>

#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/gibbs.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>

#include "samplers.h"
#include "shared/families/upgrade.h"
#include "stuck.h"

namespace {

using namespace marginalia;

class Mcmc final : public Family, private ChainSource {
 public:
  static constexpr const char* kName = "mcmc";
  static constexpr const char* kSummary =
      "Gibbs, Metropolis, cluster and tempering chains: reference samples";
  static constexpr const char* kFormula = "x' ~ T(. | x) with sum_x p(x) T(x' | x) = p(x')";
  static constexpr const char* kSource =
      "Swendsen and Wang (1987), doi:10.1103/PhysRevLett.58.86; Wolff (1989), "
      "doi:10.1103/PhysRevLett.62.361; Hukushima and Nemoto (1996), doi:10.1143/JPSJ.65.1604";
  static constexpr const char* kReferenceChains = R"({"sampler": "auto"})";
  static constexpr const char* kExample = R"({"chains": 16, "burn_in": 20, "sweeps": 2})";

  struct Params {
    mcmc::Moves sampler;
    std::int64_t chains = 256, sweeps = 10, burn_in = 500;
    void visit(ParamVisitor& p) {
      p.choice("sampler", sampler, "kind of moves");
      p("chains", chains, {.doc = "C, chains side by side", .min = 2});
      p("sweeps", sweeps,
        {.doc = "between one step, or sample of a chain, and the next", .min = 1});
      p("burn_in", burn_in, {.doc = "sweeps before the first, also under evidence", .min = 0});
    }
  };

  /// Format 1 had the temperatures of parallel_tempering beside "sampler".
  static Json upgrade(const Json& given, int) {
    OldParams old(given);
    Json now = Json::object();
    old.move({"type"}, now);
    const auto sampler = old.take("sampler");
    auto moves = choice_as_object(sampler, mcmc::GibbsMoves::kName);
    Json ladder = Json::object();
    old.move({"temperatures", "hottest"}, ladder);
    const Json type = moves.at("type");
    const bool idle =
        ladder.value("temperatures", Json(8)) == 8 && ladder.value("hottest", Json(0.2)) == 0.2;
    if (type == mcmc::SuitedMoves::kName && !idle)
      throw SpecError("\"temperatures\" and \"hottest\" are for \"sampler\": "
                      "\"parallel_tempering\", not \"auto\"");
    if (type == mcmc::ParallelTemperingMoves::kName) moves.update(ladder);
    put_given(now, "sampler", shortest_choice(moves, !sampler.is_null()));
    now.update(old.left());
    return now;
  }

  Mcmc(const Params& params, const FamilyContext& context)
      : params_(params), space_(context.space), support_(need_energy(context)) {
    params_.sampler = mcmc::settled(params.sampler, *context.energy);
    sampler_ = mcmc::make_sampler(params_.sampler, *context.energy);
    if (!sampler_->clamps()) clamped_ = mcmc::make_sampler(mcmc::GibbsMoves{}, *context.energy);
    if (const bool can = context.energy->local() || context.energy->factors(); can)
      gibbs_ = std::make_unique<GibbsSampler>(*context.energy);
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    std::vector<Capability> all{{QueryKind::kSample, "chain", Status::kEstimate, "0"}};
    if (gibbs_) all.push_back({QueryKind::kConditionals, "chain", Status::kEstimate, "0"});
    return all;
  }

  void step(Step& step) override {
    if (step.energy().inverse_temperature() != 1)
      throw SpecError("training.anneal is for families that learn; mcmc draws from f as it is");
    auto& stream = step.own_stream("family/chains");
    auto sweeps = params_.sweeps;
    const bool first = !states_.defined();
    if (first) sweeps += params_.burn_in;
    const auto begin =
        first ? uniform_states(space_, step.share_of(params_.chains) * sampler_->replicas(), stream)
              : part(step, states_);
    const auto of_part = sampler_->sweep(begin, {}, sweeps, stream);
    const mcmc::Swept swept{gathered(step, of_part.states),
                            gathered(step, of_part.moved.to(torch::kByte)) != 0};
    states_ = swept.states;
    if (!first && !moves_.all()) mcmc::add(moves_, *sampler_, support_.energy(), swept, sweeps);
    // A redrawn variable counts as an evaluation, as in Gibbs sweeps of a metered energy, whatever
    // the sampler reads: cluster moves look at the tables of pairs and never ask for log f.
    step.energy().count(sweeps * of_part.states.numel());
    const auto log_f = step.gather(step.energy().log_density(own(of_part.states))).unsqueeze(1);
    history_ = history_.defined() ? torch::cat({history_, log_f}, 1) : log_f;
    step.record("chain/log_density", log_f.mean().item<double>());
    if (const auto N = history_.size(1); N >= 8)
      step.record(kChainHealth, split_r_hat(history_.slice(1, N / 2)));
  }

  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor& v) override {
    v("chain.states", states_);
    v("chain.log_density", history_);
    moves_.visit(v);
  }
  void set_training(bool) override {}
  std::string why_not_data_parallel() const override { return ""; }
  Offer<ChainSource> chains() const override { return {this}; }
  std::vector<std::string> warnings() const override {
    if (!states_.defined()) return {};
    const auto moves = moves_.any() ? moves_ : mcmc::tried(*sampler_, support_.energy(), states_);
    auto text = chains_text(moves, support_, own(states_), space_.empty()[0]);
    return text.empty() ? std::vector<std::string>{} : std::vector{std::move(text)};
  }

 private:
  static const Energy& need_energy(const FamilyContext& context) {
    if (!context.energy) throw SpecError("draws from an \"energy\"; the spec has none");
    return *context.energy;
  }

  std::string method() const override {
    return std::visit([](const auto& moves) { return moves.kName; }, params_.sampler);
  }
  std::int64_t count() const override { return params_.chains; }
  std::int64_t evaluations(std::int64_t draws) const override {
    return (params_.burn_in + draws * params_.sweeps) * params_.chains * sampler_->replicas() *
           space_.dimension();
  }
  ChainDraws draw(std::int64_t draws, Stream& stream) const override {
    auto states = uniform_states(space_, params_.chains * sampler_->replicas(), stream);
    if (params_.burn_in > 0) states = sampler_->sweep(states, {}, params_.burn_in, stream).states;
    std::vector<Tensor> drawn;
    ChainMoves moves;
    for (std::int64_t n = 0; n < draws; ++n) {
      const auto swept = sampler_->sweep(states, {}, params_.sweeps, stream);
      if (!moves.all()) mcmc::add(moves, *sampler_, support_.energy(), swept, params_.sweeps);
      states = swept.states;
      drawn.push_back(own(states));
    }
    return {torch::stack(drawn, 1), moves.never_moved(support_, own(states), space_.empty()[0])};
  }

  Tensor own(const Tensor& states) const { return mcmc::own_rows(*sampler_, states); }

  /// Of all replicas of all chains those of this process's share of the chains, and back.
  Tensor part(const Step& step, const Tensor& states) const {
    return step.share(states.view({sampler_->replicas(), -1, states.size(1)}).transpose(0, 1))
        .transpose(0, 1)
        .reshape({-1, states.size(1)});
  }
  Tensor gathered(Step& step, const Tensor& of_part) const {
    const auto T = sampler_->replicas(), D = of_part.size(1);
    return step.gather(of_part.view({T, -1, D}).transpose(0, 1).contiguous())
        .transpose(0, 1)
        .reshape({-1, D});
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (!states_.defined()) throw Error("no chain has started yet: it takes one step");
    if (query.kind == QueryKind::kConditionals) return conditionals(query.partial, stream);
    Answer answer;
    answer.value = torch::full({query.partial.size(0)}, NAN, torch::kDouble);  // log q is not known
    if ((query.partial == kUnknown).all().item<bool>()) {
      answer.states = continued(query.partial.size(0), stream);
    } else {
      answer.states = completed(query.partial, stream);
      answer.warnings = warnings_under(query.partial, answer.states);
    }
    return answer;
  }

  /// Samples of the running chains, `sweeps` apart.
  Tensor continued(std::int64_t rows, Stream& stream) const {
    std::vector<Tensor> parts;
    auto states = states_;
    for (std::int64_t drawn = 0; drawn < rows; drawn += params_.chains) {
      states = sampler_->sweep(states, {}, params_.sweeps, stream).states;
      parts.push_back(own(states));
    }
    return torch::cat(parts).slice(0, 0, rows);
  }

  /// A chain for each row, from a random state, its known variables held.
  Tensor completed(const Tensor& partial, Stream& stream) const {
    const auto& sampler = holding();
    const auto given = partial.repeat({sampler.replicas(), 1});
    const auto free = given == kUnknown;
    const auto start = torch::where(free, uniform_states(space_, given.size(0), stream), given);
    const auto swept = sampler.sweep(start, free, params_.burn_in + params_.sweeps, stream);
    return mcmc::own_rows(sampler, swept.states).contiguous();
  }

  /// The sampler for chains that hold some variables.
  const mcmc::Sampler& holding() const { return sampler_->clamps() ? *sampler_ : *clamped_; }

  std::vector<AnswerWarning> warnings_under(const Tensor& partial, const Tensor& states) const {
    return mcmc::list_warnings(holding(), support_, partial, states,
                               params_.burn_in + params_.sweeps);
  }

  /// log of the mean of p(x_i | all others) along a chain under the evidence.
  Answer conditionals(const Tensor& partial, Stream& stream) const {
    const auto states = completed(partial, stream);
    const auto sweeps = std::max<std::int64_t>(params_.burn_in, 1);
    const auto p = gibbs_->sweep(states, partial == kUnknown, sweeps, stream, true).mean;
    Answer answer{.value = p.to(torch::kDouble).log()};
    answer.warnings = warnings_under(partial, states);
    return answer;
  }

  Params params_;
  StateSpace space_;
  Support support_;
  std::unique_ptr<mcmc::Sampler> sampler_, clamped_;
  std::unique_ptr<GibbsSampler> gibbs_;
  Tensor states_, history_;  // int64 [T C, D]; float64 [C, steps]
  ChainMoves moves_;         // after the first step
};

}  // namespace
MARGINALIA_PLUGIN(Mcmc);
