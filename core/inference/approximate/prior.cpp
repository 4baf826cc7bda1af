#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>
#include <marginalia/inference/belief_propagation.h>
#include <marginalia/inference/prior.h>
#include <marginalia/inference/tree.h>

namespace marginalia {

PriorSource::~PriorSource() = default;

namespace {

class LocalPrior final : public PriorSource {
 public:
  explicit LocalPrior(const LocalConditionals& local) : local_(local) {}

  Prior of(const Tensor& partial, HeadSet) const override {
    const auto unknown = partial == kUnknown;
    const auto logits = local_.logits(partial);
    const auto alone =
        torch::where(unknown, logits.logsumexp(2), 0.0F).sum(1, false, torch::kDouble);
    return {logits, (local_.known_part(partial) + alone).to(torch::kFloat),
            unknown.to(torch::kFloat)};
  }
  std::int64_t reach() const override { return 1; }

 private:
  const LocalConditionals& local_;
};

/// In half-log-odds: a binary variable's distribution is e^{s H} / 2 cosh H, s = 2x - 1. Directed
/// edges come in opposite pairs: e of E goes i -> j, e + E back. Tensors are [sites or edges, B],
/// so that a gather copies whole rows.
class PairwisePropagation final : public PriorSource {
 public:
  PairwisePropagation(const PairwiseFactors& factors, std::int64_t rounds) : rounds_(rounds) {
    const auto E = factors.edges.size(0);
    const auto i = factors.edges.select(1, 0), j = factors.edges.select(1, 1);
    source_ = torch::cat({i, j});
    target_ = torch::cat({j, i});
    opposite_ = torch::cat({torch::arange(E, 2 * E), torch::arange(E)});
    const auto w = factors.pairs.to(torch::kDouble);
    shift_ = w.amax({1, 2});  // keeps the exponentials near 1
    const auto weight = (w - shift_.view({-1, 1, 1})).exp().to(torch::kFloat);
    const auto both = torch::cat({weight, weight.transpose(1, 2)});  // [2E, source, target]
    for (int a = 0; a < 2; ++a)
      for (int b = 0; b < 2; ++b)
        weight_[a][b] = both.select(1, a).select(1, b).unsqueeze(1).contiguous();  // [2E, 1]
    const auto u = factors.unary;
    field_ = ((u.select(1, 1) - u.select(1, 0)) / 2).unsqueeze(1);  // h [D, 1]
    mean_ = (u.select(1, 1) + u.select(1, 0)) / 2;                  // [D]
  }

  Prior of(const Tensor& partial, HeadSet) const override {
    torch::NoGradGuard no_grad;
    const auto device = partial.device();
    const auto on = [&](const Tensor& t) { return t.to(device); };
    const auto x = partial.t().contiguous();  // [D, B]
    const auto known = x != kUnknown;
    const auto pinned = (2 * x - 1).to(torch::kFloat) * kPinned;  // stands for s = +-1
    const auto h = on(field_), source = on(source_), target = on(target_);
    const auto source_known = known.index_select(0, source);
    const auto source_pinned = pinned.index_select(0, source);
    auto message = torch::zeros({source.size(0), x.size(1)}, h.options());  // u, into the target
    auto total = (h + torch::zeros_like(pinned));                           // H, not a view of h
    Tensor odds;                                                            // e^{2c} at the source
    for (std::int64_t round = 0; round <= rounds_; ++round) {
      // c = H_source - the message that came back along this edge
      auto cavity = total.index_select(0, source).sub_(message.index_select(0, on(opposite_)));
      cavity = torch::where(source_known, source_pinned, cavity.clamp_(-kPinned, kPinned));
      odds = cavity.mul_(2).exp_();
      if (round == rounds_) break;  // the cavities of the last messages, for the Bethe energy
      // u = 1/2 log (w11 e^{2c} + w01) / (w10 e^{2c} + w00)
      const auto up = odds * on(weight_[1][1]) + on(weight_[0][1]);
      const auto down = odds * on(weight_[1][0]) + on(weight_[0][0]);
      message = up.div_(down).log_().mul_(0.5);
      total = (h + torch::zeros_like(pinned)).index_add_(0, target, message);
    }
    const auto logits = torch::stack({-total, total}, 2).permute({1, 0, 2}).contiguous();
    return {logits, bethe(x, known, pinned, total, odds), two_core(known)};
  }
  std::int64_t reach() const override { return rounds_; }

 private:
  static constexpr float kPinned = 20;  // e^{-2 * 20} is nothing beside 1 in float32

  /// sum_i log Z_i + sum_e (log Z_e - log Z_i - log Z_j), where a known variable counts as pinned.
  Tensor bethe(const Tensor& x, const Tensor& known, const Tensor& pinned, const Tensor& total,
               const Tensor& odds) const {
    const auto on = [&](const Tensor& t) { return t.to(x.device()); };
    const auto E = shift_.size(0);
    const auto H = torch::where(known, pinned, total);
    const auto log_two_cosh = H.abs() + torch::log1p(torch::exp(-2 * H.abs()));
    const auto s = (2 * x - 1).to(torch::kFloat);
    const auto site = torch::where(known, s * on(field_), log_two_cosh);
    const auto a = odds.slice(0, 0, E), b = odds.slice(0, E, 2 * E);  // e^{2 c_i}, e^{2 c_j}
    const auto w = [&](int i, int j) { return on(weight_[i][j]).slice(0, 0, E); };
    const auto pair = (a * b * w(1, 1) + a * w(1, 0) + b * w(0, 1) + w(0, 0)).log();
    const auto ends = log_two_cosh.index_select(0, on(source_));
    const auto edge =
        pair - 0.5 * (a.log() + b.log()) - ends.slice(0, 0, E) - ends.slice(0, E, 2 * E);
    const auto constant = mean_.sum().item<double>() + shift_.sum().item<double>();
    const auto sum = site.sum(0, false, torch::kDouble) + edge.sum(0, false, torch::kDouble);
    return (sum + constant).to(torch::kFloat);
  }

  /// The unknown variables that lie on a loop of unknown ones, or between loops: what is left after
  /// leaves are peeled off, as often as messages were passed: a longer tail has not been summed.
  Tensor two_core(const Tensor& known) const {
    const auto on = [&](const Tensor& t) { return t.to(known.device()); };
    auto core = known.logical_not().to(torch::kFloat);
    for (std::int64_t peel = 0; peel < rounds_; ++peel) {
      const auto degree =
          torch::zeros_like(core).index_add_(0, on(target_), core.index_select(0, on(source_)));
      core = core * (degree > 1.5).to(torch::kFloat);
    }
    return core.t().contiguous();
  }

  std::int64_t rounds_;
  Tensor source_, target_, opposite_, shift_, field_, mean_;
  Tensor weight_[2][2];
};

constexpr double kMinLogit = -50;  // of what is known, or was never seen

class TreePrior final : public PriorSource {
 public:
  explicit TreePrior(const Dataset& dataset)
      : tree_(trees::chow_liu(trees::count_values(dataset, true), dataset.space(),
                              double(dataset.space().levels()))) {}

  Prior of(const Tensor& partial, HeadSet) const override {
    const auto x = partial.cpu();
    const auto logits = trees::log_conditionals(tree_, x).clamp_min(kMinLogit).to(torch::kFloat);
    const auto log_marginal = trees::log_marginal(tree_, x).to(torch::kFloat);
    return {logits.to(partial.device()), log_marginal.to(partial.device()),
            torch::ones_like(partial, torch::kFloat)};
  }
  std::int64_t reach() const override { return tree_.p.size(0); }

 private:
  trees::Tree tree_;
};

class FamilyPrior final : public PriorSource {
 public:
  explicit FamilyPrior(const Family& family)
      : family_(family),
        conditionals_(need(QueryKind::kConditionals)),
        marginals_(need(QueryKind::kLogMarginal)) {}

  Prior of(const Tensor& partial, HeadSet wanted) const override {
    torch::NoGradGuard no_grad;
    const auto x = partial.cpu();
    const auto device = partial.device();
    const auto logits = ask(QueryKind::kConditionals, x, conditionals_).clamp_min(kMinLogit);
    Prior prior{logits.to(device, torch::kFloat), {}, torch::ones_like(partial, torch::kFloat)};
    if (wanted & kLogMarginal)
      prior.log_marginal = ask(QueryKind::kLogMarginal, x, marginals_).to(device, torch::kFloat);
    return prior;
  }
  std::int64_t reach() const override { return family_.space().dimension(); }

 private:
  std::string need(QueryKind kind) const {
    const auto way = family_.by_route(kind, Route::kOnePass);
    if (way && way->status == Status::kExact) return way->estimator;
    throw SpecError(
        fmt::format("\"prior\": \"family\" needs exact {} in one pass, which {} has not",
                    to_string(kind), family_.label()));
  }
  Tensor ask(QueryKind kind, const Tensor& x, const std::string& estimator) const {
    Stream none(0, "prior");  // an exact answer draws nothing
    const Query query{.kind = kind, .partial = x, .estimator = estimator, .in_float32 = true};
    return family_.answer(query, none).value;
  }

  const Family& family_;
  std::string conditionals_, marginals_;
};

}  // namespace

std::unique_ptr<PriorSource> local_prior(const Energy& energy) {
  const auto local = energy.local();
  if (!local)
    throw SpecError(fmt::format("\"prior\": \"local\" needs local conditionals, but of {}: {}",
                                energy.label(), local.reason));
  return std::make_unique<LocalPrior>(*local);
}

std::unique_ptr<PriorSource> belief_propagation_prior(const Energy& energy, std::int64_t rounds) {
  const auto pairs = energy.pairwise();
  if (pairs && energy.space().levels() == 2)
    return std::make_unique<PairwisePropagation>(*pairs, rounds);
  return loopy_belief_propagation(energy, {.rounds = rounds});
}

std::unique_ptr<PriorSource> chow_liu_prior(const Dataset& dataset) {
  return std::make_unique<TreePrior>(dataset);
}

std::unique_ptr<PriorSource> family_prior(const Family& family) {
  return std::make_unique<FamilyPrior>(family);
}

std::unique_ptr<PriorSource> make_prior(const NetworkContext& context, const std::string& name,
                                        std::int64_t rounds) {
  if (name == "family") {
    if (context.prior) return family_prior(*context.prior);
    throw SpecError("\"prior\": \"family\" needs a \"prior\" in the spec, beside \"network\"");
  }
  const bool of_data = name == "chow_liu";
  if (of_data ? !context.dataset : !context.energy)
    throw SpecError(fmt::format("\"prior\": \"{}\" needs {} in the spec", name,
                                of_data ? "a \"dataset\"" : "an \"energy\""));
  if (of_data) return chow_liu_prior(*context.dataset);
  return name == "local" ? local_prior(*context.energy)
                         : belief_propagation_prior(*context.energy, rounds);
}

}  // namespace marginalia
