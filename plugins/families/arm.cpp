/// \file
/// Autoregressive model along one fixed order: the baseline that any-order models are measured by.
///
///   log p(x) = sum_t log p(x_{order t} | x_{order <t}), one pass of a causal network
/// A set S that is the beginning of the order has an exact marginal in one pass. Any other takes
/// importance sampling: what is unknown before its last variable is drawn along the order,
///   p(x_S) = E prod_{i in S} p(x_i | known and drawn before i),
/// with M particles; the estimate is unbiased in p, low in log p. Completions are resampled from
/// the particles by the same weights.
///
/// It learns from data, or from an energy f by the gradient of KL(p || f / Z) on its own samples x,
///   E[(c - b) grad l],  c = l' - log f(x),  b the mean cost of the other samples:
///   reinforce    l = l' = log p(x), the variational autoregressive network
///   monte_carlo  l and l' are D times one conditional each, of a variable drawn at random and
///                apart: unbiased as well, and so noisy that it is a baseline only
/// A step takes D passes to draw and one more that gives all D conditionals, in monte_carlo too.
/// Source: Larochelle and Murray (2011), AISTATS; Uria et al. (2016), arXiv:1605.02226; Wu, Wang,
/// Zhang (2019), arXiv:1809.10606; ARM-MC of Liu, Ramadge, Adams (2024), arXiv:2310.12920.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/masking.h>
#include <marginalia/plugin.h>

#include "shared/families/objectives.h"
#include "shared/families/reinforce.h"
#include "shared/families/role_network.h"

namespace {

using namespace marginalia;

/// Rows whose variables were drawn or scored along the order.
struct Particles {
  Tensor states;      ///< int64 [B, D]; beyond `upto` as they were
  Tensor log_weight;  ///< float64 [B], of what was known
  Tensor log_drawn;   ///< float64 [B], of what was drawn
  std::int64_t passes;
};

class Arm final : public Family {
 public:
  static constexpr const char* kName = "arm";
  static constexpr const char* kSummary =
      "autoregressive model along one fixed order, from data or an energy";
  static constexpr const char* kFormula = "log p(x) = sum_t log p(x_{order t} | x_{order <t})";
  static constexpr const char* kSource =
      "Uria et al. (2016), arXiv:1605.02226; from an energy: Wu, Wang, Zhang (2019), "
      "arXiv:1809.10606";
  static constexpr std::pair<const char*, unsigned> kRoles[] = {{"causal", kCausalLogits}};

  struct MonteCarlo : NoParams {
    static constexpr const char* kName = "monte_carlo";
    static constexpr const char* kDoc =
        "reverse KL to an energy, by one conditional of log p (ARM-MC, a baseline)";
  };
  using Objective =
      std::variant<objectives::ByData, objectives::Likelihood, objectives::Reinforce, MonteCarlo>;

  struct Params {
    Objective objective;
    std::string order = "forward";
    std::vector<std::int64_t> sequence;
    std::int64_t particles = 64;
    void visit(ParamVisitor& p) {
      p.choice("objective", objective, "what is maximised, or minimised");
      p("order", order,
        {.doc = "of the variables: as they stand, reversed, or random by the run's seed",
         .one_of = {"forward", "backward", "random"}});
      p("sequence", sequence, {.doc = "any other order, all variables from 0", .min = 0});
      p("particles", particles,
        {.doc = "M, of importance sampling where evidence does not come first", .min = 1});
    }
  };

  Arm(const Params& params, const FamilyContext& context)
      : space_(context.space),
        device_(context.device),
        particles_(params.particles),
        network_(context, "causal", kCausalLogits),
        order_(read_order(params, context)),
        objective_(objectives::settled(params.objective, context)) {
    const auto only = network_->causal_order();
    if (only.defined() && !only.equal(order_))
      throw SpecError(fmt::format(
          "\"order\": {} takes the variables in one order only, which begins {}; this is another",
          network_->label(),
          fmt::join(std::span(only.data_ptr<std::int64_t>(),
                              std::min<std::size_t>(3, std::size_t(only.numel()))),
                    ", ")));
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    return {
        {QueryKind::kLogMarginal, "importance", Status::kEstimate,
         "1 where S begins the order, else the place of its last variable", Route::kImportance},
        {QueryKind::kConditionals, "importance", Status::kEstimate, "up to D", Route::kImportance},
        {QueryKind::kSample, "importance", Status::kEstimate, "D; exact without evidence",
         Route::kImportance}};
  }

  void step(Step& step) override {
    if (!by_likelihood()) return from_energy(step);
    const auto x = step.share(step.batch());
    step.count_passes(x.size(0));
    step.minimise(-compute_log_conditionals(x).mean());
  }

  std::vector<ParameterGroup> parameters() override { return {network_.group()}; }
  void visit(StateVisitor& v) override {
    network_.visit(v);
    v("model.order", order_);
  }
  void set_training(bool training) override { network_->train(training); }
  std::string why_not_data_parallel() const override { return ""; }

 private:
  static Tensor read_order(const Params& params, const FamilyContext& context) {
    const auto D = context.space.dimension();
    auto sequence = params.sequence;
    if (!sequence.empty()) {
      auto sorted = sequence;
      std::ranges::sort(sorted);
      std::vector<std::int64_t> all(static_cast<std::size_t>(D));
      std::iota(all.begin(), all.end(), 0);
      if (sorted != all)
        throw SpecError("\"sequence\" must name each of the variables 0 to " +
                        std::to_string(D - 1) + " once");
      return torch::tensor(sequence, torch::kLong);
    }
    if (params.order == "random") return Stream(context.seed, "family/order").permutations(1, D)[0];
    const auto forward = torch::arange(D);
    return params.order == "forward" ? forward : forward.flip(0);
  }

  /// log p(x_i = k | what comes before i): [B, D, K]. What comes later may be unknown.
  Tensor causal(const Tensor& x) const { return network_.log_causal(x, order_); }

  /// log p(x_i | what is known before i), 0 of gaps: [B, D].
  Tensor compute_log_conditionals(const Tensor& x) const {
    const auto values = x.to(device_);
    const auto log_p = causal(x).gather(2, values.clamp_min(0).unsqueeze(2)).squeeze(2);
    return log_p.masked_fill(values == kUnknown, 0);
  }

  bool by_likelihood() const { return std::holds_alternative<objectives::Likelihood>(objective_); }

  void from_energy(Step& step) const {
    const auto B = step.share_of(step.batch_size()), D = space_.dimension();
    const auto x = own_samples(B, step.own_stream("family/samples"));
    const auto log_p = compute_log_conditionals(x);  // [B, D]
    step.count_passes(B * (D + 1));
    const auto log_f = step.energy().log_density(x).to(device_);
    const auto whole = log_p.sum(1, false, torch::kDouble);
    auto score = whole, cost = whole.detach() - log_f;
    step.record("train/kl_less_log_z", cost.mean().item<double>());
    if (std::holds_alternative<MonteCarlo>(objective_)) {
      auto& stream = step.own_stream("family/conditionals");
      const auto one = [&] {
        const auto i = stream.integers(D, {B, 1}).to(device_);
        return double(D) * log_p.gather(1, i).squeeze(1).to(torch::kDouble);
      };
      score = one();
      cost = one().detach() - log_f;
    }
    step.minimise(reinforce(step, score, cost));
  }

  /// Samples of the model as it stands: int64 [B, D].
  Tensor own_samples(std::int64_t rows, Stream& stream) const {
    torch::NoGradGuard no_grad;
    return walk(space_.empty().expand({rows, -1}), space_.dimension(), stream).states;
  }

  /// Place in the order after the last known variable, and of the first unknown one: int64 [B].
  Tensor find_end(const Tensor& known) const {
    const auto along = known.index_select(1, order_).to(torch::kLong);
    return (along * torch::arange(1, known.size(1) + 1)).amax(1);
  }

  /// Goes through the first `upto` variables of the order: draws the unknown, weighs the known.
  Particles walk(Tensor x, std::int64_t upto, Stream& stream) const {
    const auto B = x.size(0);
    auto weight = torch::zeros({B}, torch::kDouble), drawn = torch::zeros({B}, torch::kDouble);
    x = x.clone();
    std::int64_t passes = 0;
    for (std::int64_t t = 0; t < upto; ++t) {
      const auto i = order_[t].item<std::int64_t>();
      const auto unknown = x.select(1, i) == kUnknown;
      const auto log_p = causal(x).select(1, i).to(torch::kCPU, torch::kDouble);
      ++passes;
      const auto value = torch::multinomial(log_p.exp(), 1, false, stream.generator()).squeeze(1);
      x.select(1, i).copy_(torch::where(unknown, value, x.select(1, i)));
      const auto of_x = log_p.gather(1, x.select(1, i).unsqueeze(1)).squeeze(1);
      weight += torch::where(unknown, torch::zeros_like(of_x), of_x);
      drawn += torch::where(unknown, of_x, torch::zeros_like(of_x));
    }
    return {x, weight, drawn, passes};
  }

  /// Exact, and in batches, where S begins the order; else by particles, one row at a time.
  Answer marginals(const Tensor& x, Stream& stream) const {
    const auto known = x != kUnknown;
    const auto begins = find_end(known) == known.sum(1);
    Answer answer;
    answer.value = torch::zeros({x.size(0)}, torch::kDouble);
    answer.status = begins.all().item<bool>() ? Status::kExact : Status::kEstimate;
    for (const auto& rows : begins.nonzero().squeeze(1).split(kRows)) {
      if (rows.numel() == 0) continue;
      const auto part = x.index({rows});
      const auto log_p = causal(part).to(torch::kCPU, torch::kDouble);
      const auto of_x = log_p.gather(2, part.clamp_min(0).unsqueeze(2)).squeeze(2);
      answer.value.index_put_({rows},
                              torch::where(part != kUnknown, of_x, torch::zeros_like(of_x)).sum(1));
      answer.passes += double(rows.numel());
    }
    const auto ends = find_end(known), others = begins.logical_not().nonzero().squeeze(1);
    for (std::int64_t n = 0; n < others.numel(); ++n) {
      const auto row = others[n].item<std::int64_t>();
      const auto end = ends[row].item<std::int64_t>();
      const auto all = walk(x.slice(0, row, row + 1).expand({particles_, -1}), end, stream);
      answer.value[row] = all.log_weight.logsumexp(0) - std::log(double(particles_));
      answer.passes += double(particles_ * all.passes);
    }
    answer.passes /= std::max<double>(1, double(x.size(0)));
    return answer;
  }

  /// A completion of one row: exact where evidence begins the order, else resampled.
  Particles complete(const Tensor& row, Stream& stream) const {
    const auto known = row != kUnknown;
    const bool begins = find_end(known).item<std::int64_t>() == known.sum().item<std::int64_t>();
    const auto M = begins ? std::int64_t{1} : particles_;
    auto all = walk(row.expand({M, -1}), row.size(1), stream);
    const auto p = (all.log_weight - all.log_weight.max()).exp();
    const auto chosen = torch::multinomial(p, 1, false, stream.generator());
    const auto evidence = all.log_weight.logsumexp(0, true) - std::log(double(M));
    return {all.states.index({chosen}), all.log_weight.index({chosen}) - evidence,
            all.log_drawn.index({chosen}), M * all.passes};
  }

  Answer samples(const Tensor& x, Stream& stream) const {
    Answer answer;
    if ((x == kUnknown).all().item<bool>()) {
      const auto all = walk(x, x.size(1), stream);
      answer.states = all.states;
      answer.value = all.log_drawn;
      answer.passes = double(all.passes);
      answer.status = Status::kExact;
      return answer;
    }
    std::vector<Tensor> states, values;
    for (std::int64_t row = 0; row < x.size(0); ++row) {
      const auto one = complete(x.slice(0, row, row + 1), stream);
      states.push_back(one.states);
      values.push_back(one.log_drawn + one.log_weight);
      answer.passes += double(one.passes) / double(x.size(0));
    }
    answer.states = torch::cat(states);
    answer.value = torch::cat(values);
    return answer;
  }

  /// p(x_i = k | x_S) as the weighted share of completions; smoothed so that none is zero.
  Answer conditionals(const Tensor& x, Stream& stream) const {
    const auto K = space_.levels();
    const auto possible = space_.possible().to(torch::kDouble);
    Answer answer;
    std::vector<Tensor> rows;
    for (std::int64_t row = 0; row < x.size(0); ++row) {
      const auto all = walk(x.slice(0, row, row + 1).expand({particles_, -1}), x.size(1), stream);
      const auto weight = (all.log_weight - all.log_weight.logsumexp(0)).exp();
      const auto one_hot = (all.states.unsqueeze(2) == torch::arange(K)).to(torch::kDouble);
      const auto share = (weight.view({-1, 1, 1}) * one_hot).sum(0) + possible / double(particles_);
      rows.push_back((share / share.sum(1, true)).log());
      answer.passes += double(particles_ * all.passes) / double(x.size(0));
    }
    answer.value = torch::stack(rows);
    return answer;
  }

  Answer compute_answer(const Query& query, Stream& stream) const override {
    if (query.kind == QueryKind::kSample) return samples(query.partial, stream);
    if (query.kind == QueryKind::kConditionals) return conditionals(query.partial, stream);
    auto answer = marginals(query.partial, stream);
    if (!query.given.defined()) return answer;
    // p(evidence | evidence) = 1 exactly, whatever its estimate.
    const auto base = marginals(query.given, stream);
    const auto same = (query.partial == query.given).all(1);
    answer.value = (answer.value - base.value).masked_fill(same, 0);
    answer.passes += base.passes;
    if (base.status != Status::kExact) answer.status = base.status;
    return answer;
  }

  static constexpr std::int64_t kRows = 256;

  StateSpace space_;
  at::Device device_;
  std::int64_t particles_;
  RoleNetwork network_;
  Tensor order_;         // int64 [D]
  Objective objective_;  // settled
};

}  // namespace
MARGINALIA_PLUGIN(Arm);
