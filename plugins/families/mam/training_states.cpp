#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/chains.h>
#include <marginalia/error.h>
#include <marginalia/inference/chain_moves.h>
#include <marginalia/inference/conditioning.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/gibbs.h>
#include <marginalia/inference/masking.h>
#include <marginalia/inference/resampling.h>

#include "training_states.h"

namespace marginalia::mam {

namespace {

/// The states of all ranks, of which each has drawn its own; small on the wire.
Tensor gather_states(Step& step, const Tensor& own, std::int64_t levels) {
  return step.gather(own.to(levels <= 128 ? torch::kChar : torch::kInt)).to(torch::kLong);
}

/// Persistent chains, used in a fixed rotation. Of several ranks each moves its share of those
/// whose turn it is, and all know where all chains are.
class Chains : public TrainingStates {
 public:
  /// target: the energy whose law the chains leave invariant; null: the model's.
  Chains(const ChainParams& params, const StateSpace& space, const Energy* target)
      : chain_(params), space_(space) {
    if (target) support_.emplace(*target);
  }
  bool is_of_target() const final { return support_.has_value(); }

  Tensor draw(Step& step, std::int64_t rows, const LogConditionals& model) final {
    if (!states_.defined()) states_ = gathered(step, start(step, model));
    const auto C = states_.size(0);
    const auto index = (torch::arange(rows) + position_.item<std::int64_t>()).remainder(C);
    position_ = (position_ + rows).remainder(C);
    const auto before = states_.index({index});
    const auto own = move(step.share(before), step, model);
    const auto x = gathered(step, own);
    states_.index_put_({index}, x);
    if (support_ && !moves_.all()) note_moves(before != x, step, own);
    watch(step, model, own);
    return chain_.replay > 0 ? mix_with_past(x, step) : x;
  }

  void visit(StateVisitor& v) final {
    v("chain.states", states_);
    v("chain.position", position_);
    v("chain.history", history_);
    v("chain.past", past_);
    moves_.visit(v);
  }

  std::vector<std::string> warnings() const final {
    if (!support_ || !moves_.any()) return {};
    auto text = chains_text(moves_, *support_, states_, space_.empty()[0]);
    if (text.empty()) return {};
    return {"chains of training: " + text};
  }

 protected:
  /// Where this process's share of the chains begins.
  virtual Tensor start(Step& step, const LogConditionals& model) = 0;
  /// x: of this process's share.
  virtual Tensor move(const Tensor& x, Step& step, const LogConditionals& model) = 0;

  std::int64_t own_chains(const Step& step) const { return step.share_of(chain_.chains); }

  /// Chains drawn from a pool of uniform states with probabilities f / sum of f.
  Tensor resampled(Step& step, const ResampledStart& from) const {
    auto& stream = step.stream("family/chains");
    const auto pool = uniform_states(space_, from.pool, stream);
    std::vector<Tensor> log_f;
    for (const auto& part : step.share(pool).split(kPooled))
      log_f.push_back(step.energy().log_density(part));
    const auto weight = step.gather(torch::cat(log_f)).softmax(0);
    if (weight.isnan().any().item<bool>())
      throw Error(fmt::format("\"start\": \"resampled\": all of {} uniform states are forbidden; "
                              "a larger \"pool\" or another start is needed",
                              from.pool));
    step.record("chain/effective_pool", 1 / weight.square().sum().item<double>());
    const auto chosen = resample_systematically(weight, chain_.chains, stream);
    return step.share(pool.index_select(0, chosen));
  }

  /// This process's share of the chains, from the model.
  Tensor drawn_anew(Step& step, const LogConditionals& model) const {
    auto& stream = step.own_stream("family/chains");
    const auto C = own_chains(step), D = space_.dimension();
    const auto orders = draw_orders(Order::kRandom, C, D, stream);
    step.count_passes(C * D);
    const auto partial = space_.empty().expand({C, -1}).contiguous();
    return sample_chain(model, partial, orders, stream).states;
  }

  static constexpr std::int64_t kPooled = 8192;  // rows of an energy's batch

  ChainParams chain_;
  StateSpace space_;

 private:
  static constexpr std::int64_t kHistory = 64, kWatched = 64, kOutputs = 64;

  Tensor gathered(Step& step, const Tensor& own) const {
    return gather_states(step, own, space_.levels());
  }

  /// A move of some chains is a share of a sweep of all.
  void note_moves(const Tensor& moved, Step& step, const Tensor& own) {
    const auto log_f = step.gather(support_->energy().log_density(own));
    moves_.add(moved, log_f, double(moved.size(0)) / double(states_.size(0)));
  }

  /// Health of the chains: split R-hat of the last kHistory draws of kWatched rows, of each rank.
  void watch(Step& step, const LogConditionals& model, const Tensor& own) {
    const auto value =
        step.gather(watched(step, model, own.slice(0, 0, kWatched)).contiguous()).unsqueeze(1);
    const bool goes_on = history_.defined() && history_.dim() == 3 &&
                         history_.size(0) == value.size(0) && history_.size(2) == value.size(2);
    history_ = goes_on ? torch::cat({history_, value}, 1) : value;
    if (history_.size(1) < kHistory) return;
    double r_hat = NAN;
    for (std::int64_t c = 0; c < history_.size(2); ++c)
      r_hat = std::fmax(r_hat, split_r_hat(history_.select(2, c)));
    step.record(kChainHealth, r_hat);
    history_ = Tensor();
    if (chain_.rejuvenate > 0 && r_hat > chain_.rejuvenate) {
      states_ = gathered(step, drawn_anew(step, model));
      step.record("chain/rejuvenated", 1);
    }
  }

  /// What is watched of each row: float64 [rows, C].
  Tensor watched(Step& step, const LogConditionals& model, const Tensor& rows) const {
    if (chain_.watch == "mean") return rows.to(torch::kDouble).mean(1, true);
    step.count_passes(rows.size(0));
    const auto outputs = model(rows).flatten(1).to(torch::kDouble).clamp_min(-1e3);
    const auto every = (outputs.size(1) + kOutputs - 1) / kOutputs;  // kOutputs of them at most
    return outputs.slice(1, 0, outputs.size(1), every);
  }

  Tensor mix_with_past(const Tensor& x, Step& step) {
    past_ = past_.defined() ? torch::cat({past_, x}, 0).slice(0, -chain_.replay) : x.clone();
    const auto half = x.size(0) / 2;
    const auto index = step.stream("family/replay").integers(past_.size(0), {half});
    return torch::cat({x.slice(0, half), past_.index({index})}, 0);
  }

  Tensor states_, position_ = torch::zeros({}, torch::kLong), history_, past_;
  std::optional<Support> support_;  // of the target; none: chains of the model
  ChainMoves moves_;
};

class GibbsChains final : public Chains {
 public:
  GibbsChains(const GibbsStates& params, const FamilyContext& context)
      : Chains(params, context.space, context.energy), params_(params), sampler_(*context.energy) {
    if (!std::holds_alternative<ExactStart>(params.start)) return;
    oracle_.emplace(*context.energy);
    if (!oracle_->oracle())
      throw SpecError("\"start\": \"exact\" needs exact samples, but of " +
                      context.energy->label() + ": " + oracle_->oracle().reason);
  }

 private:
  Tensor sweep(const Tensor& x, std::int64_t sweeps, Step& step) {
    auto& stream = step.own_stream("family/chains");
    return sampler_.sweep(step.energy(), x, {}, sweeps, stream, false).states;
  }
  Tensor start(Step& step, const LogConditionals&) override {
    const auto C = own_chains(step);
    if (oracle_)
      return oracle_->oracle()->sample(space_.empty().expand({C, -1}).contiguous(),
                                       step.own_stream("family/chains"));
    const auto* weighed = std::get_if<ResampledStart>(&params_.start);
    const auto x = weighed ? resampled(step, *weighed)
                           : uniform_states(space_, C, step.own_stream("family/chains"));
    return sweep(x, params_.burn_in, step);
  }
  Tensor move(const Tensor& x, Step& step, const LogConditionals&) override {
    return sweep(x, params_.sweeps, step);
  }

  GibbsStates params_;
  GibbsSampler sampler_;
  std::optional<ExactAnswers> oracle_;  // none: chains begin at random
};

/// A random block of each row is made unknown and redrawn by the model along a random order.
class ModelChains : public Chains {
 public:
  ModelChains(const ChainParams& params, std::int64_t block, const StateSpace& space,
              const Energy* target = nullptr)
      : Chains(params, space, target), block_(block) {}

 protected:
  /// From data where there are any, which costs nothing; else from the model.
  Tensor start(Step& step, const LogConditionals& model) override {
    return step.has_dataset() ? step.share(rows_of_data(step)) : drawn_anew(step, model);
  }
  Tensor move(const Tensor& x, Step& step, const LogConditionals& model) override {
    return propose(x, step, model).states;
  }

  Tensor rows_of_data(Step& step) const {
    std::vector<Tensor> batches;
    for (std::int64_t rows = 0; rows < chain_.chains; rows += step.batch_size())
      batches.push_back(step.batch());
    return torch::cat(batches).slice(0, 0, chain_.chains);
  }

  struct Proposal {
    Tensor states, hidden, orders, log_prob;
  };
  Proposal propose(const Tensor& x, Step& step, const LogConditionals& model) {
    auto& stream = step.own_stream("family/chains");
    const auto orders = stream.permutations(x.size(0), x.size(1));
    const auto hidden = x.masked_fill(to_ranks(orders) < block_, kUnknown);
    const auto sample = sample_chain(model, hidden, orders, stream);
    step.count_passes(x.size(0) * block_);
    return {sample.states, hidden, orders, sample.log_prob};
  }

  std::int64_t block_;
};

/// Accepts with min(1, f(y) q(x) / f(x) q(y)), q along the same order: p stays invariant.
class MetropolisChains final : public ModelChains {
 public:
  MetropolisChains(const MetropolisStates& params, const FamilyContext& context)
      : ModelChains(params, params.block, context.space, context.energy), start_(params.start) {}

 private:
  Tensor start(Step& step, const LogConditionals& model) override {
    const auto* weighed = std::get_if<ResampledStart>(&start_);
    return weighed ? resampled(step, *weighed) : ModelChains::start(step, model);
  }
  Tensor move(const Tensor& x, Step& step, const LogConditionals& model) override {
    const auto proposal = propose(x, step, model);
    const auto& y = proposal.states;
    const auto back = score_chain(model, x, proposal.hidden, proposal.orders).log_prob;
    step.count_passes(x.size(0) * block_);
    const auto density = step.energy().log_density(torch::cat({x, y}));
    const auto gain = density.slice(0, x.size(0)) - density.slice(0, 0, x.size(0));
    const auto log_accept = gain + back - proposal.log_prob;
    const auto u = step.own_stream("family/accept").uniform({x.size(0)}).to(torch::kDouble);
    const auto accepted = u.log() < log_accept;
    step.record("chain/accepted", accepted.to(torch::kDouble).mean().item<double>());
    return torch::where(accepted.unsqueeze(1), y, x);
  }

  std::variant<ModelStart, ResampledStart> start_;
};

class DataRows final : public TrainingStates {
 public:
  DataRows(const DataStates& params, const StateSpace& space) : levels_(space.levels()) {
    const auto* on_policy = std::get_if<OnPolicyChains>(&params.on_policy);
    if (!on_policy || on_policy->share == 0) return;
    share_ = on_policy->share;
    chains_ = std::make_unique<ModelChains>(*on_policy, on_policy->block, space);
  }
  std::int64_t on_policy_rows(std::int64_t rows) const override {
    return std::int64_t(share_ * double(rows));
  }
  Tensor with_on_policy(Step& step, const Tensor& x, const LogConditionals& model) override {
    const auto own = step.share(x);
    const auto rows = on_policy_rows(own.size(0)), ranks = x.size(0) / own.size(0);
    if (rows == 0) return x;
    const auto drawn = step.share(chains_->draw_some(step, rows * ranks, model));
    const auto mixed = torch::cat({own.slice(0, 0, own.size(0) - rows), drawn});
    return gather_states(step, mixed, levels_);
  }
  void visit(StateVisitor& v) override {
    if (chains_) chains_->visit(v);
  }

 private:
  Tensor draw(Step& step, std::int64_t rows, const LogConditionals&) override {
    auto x = step.batch();
    return rows < x.size(0) ? x.slice(0, 0, rows) : x;
  }
  std::int64_t levels_;
  double share_ = 0;
  std::unique_ptr<ModelChains> chains_;  // null: none on policy
};

/// What "auto" comes to.
States settled(const AutoStates& params, const FamilyContext& context) {
  if (!context.energy) return DataStates{};
  const auto* weighed = std::get_if<ResampledStart>(&params.start);
  if (context.energy->local()) {
    GibbsStates gibbs{params, params, {}};
    if (weighed) gibbs.start = *weighed;
    return gibbs;
  }
  MetropolisStates metropolis{params, params, {}};
  if (weighed) metropolis.start = *weighed;
  return metropolis;
}

std::unique_ptr<TrainingStates> make(const AutoStates& params, const FamilyContext& context) {
  return make_source(settled(params, context), context);
}
std::unique_ptr<TrainingStates> make(const DataStates& params, const FamilyContext& context) {
  if (!context.dataset) throw SpecError("\"states\": \"data\" needs a \"dataset\" in the spec");
  return std::make_unique<DataRows>(params, context.space);
}
std::unique_ptr<TrainingStates> make(const ModelStates& params, const FamilyContext& context) {
  return std::make_unique<ModelChains>(params, params.block, context.space);
}
void check_energy(const char* states, const FamilyContext& context) {
  if (!context.energy)
    throw SpecError(fmt::format("\"states\": \"{}\" needs an \"energy\" in the spec", states));
}
std::unique_ptr<TrainingStates> make(const MetropolisStates& params, const FamilyContext& context) {
  check_energy(params.kName, context);
  return std::make_unique<MetropolisChains>(params, context);
}
std::unique_ptr<TrainingStates> make(const GibbsStates& params, const FamilyContext& context) {
  check_energy(params.kName, context);
  return std::make_unique<GibbsChains>(params, context);
}

}  // namespace

std::unique_ptr<TrainingStates> make_source(const States& params, const FamilyContext& context) {
  return std::visit([&](const auto& chosen) { return make(chosen, context); }, params);
}

}  // namespace marginalia::mam
