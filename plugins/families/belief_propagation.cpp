/// \file
/// Belief propagation on the factors of an energy: marginals with nothing to learn, the baseline of
/// every amortised answer on a graphical model.
///
///   m_{i->a}(x_i) ~ prod_{b != a} m_{b->i}(x_i),   m_{a->i}(x_i) ~ sum phi_a(x_a) prod
///   m_{j->a}(x_j) log f(x_S) = sum_a log Z_a + sum_i log Z_i - sum_ia log Z_ia     (Bethe,
///   evidence clamped) log p(x_S) = log f(x_S) - log f(empty)
/// Exact on trees; elsewhere an estimate without a bound.
/// Source: Pearl (1988); Kschischang, Frey and Loeliger (2001), doi:10.1109/18.910572; Yedidia,
/// Freeman and Weiss (2005), doi:10.1109/TIT.2005.850085.
#include <torch/types.h>

#include <marginalia/family.h>
#include <marginalia/inference/any_order.h>
#include <marginalia/inference/belief_propagation.h>
#include <marginalia/inference/prior.h>
#include <marginalia/plugin.h>

namespace {

using namespace marginalia;

class BeliefPropagationFamily final : public Family {
 public:
  static constexpr const char* kName = "belief_propagation";
  static constexpr const char* kSummary = "loopy belief propagation on an energy's factors";
  static constexpr const char* kFormula =
      "log p(x_S) = Bethe(x_S) - Bethe(empty), messages at a fixed point";
  static constexpr const char* kSource =
      "Pearl (1988); Yedidia, Freeman and Weiss (2005), doi:10.1109/TIT.2005.850085";

  struct Params {
    std::int64_t rounds = 200;
    double damping = 0.3, tolerance = 1e-5;
    void visit(ParamVisitor& p) {
      p("rounds", rounds, {.doc = "of messages, at most", .min = 1});
      p("damping", damping, {.doc = "share of a message that stays", .min = 0, .max = 0.99});
      p("tolerance", tolerance, {.doc = "of a message, at which they rest", .min = 0});
    }
  };

  BeliefPropagationFamily(const Params& params, const FamilyContext& context)
      : space_(context.space) {
    if (!context.energy) throw SpecError("runs on the factors of an \"energy\"; the spec has none");
    source_ = loopy_belief_propagation(
        *context.energy,
        {.rounds = params.rounds, .damping = params.damping, .tolerance = params.tolerance});
  }

  const StateSpace& space() const override { return space_; }
  std::vector<Capability> capabilities() const override {
    std::vector<Capability> all;
    for (const auto kind : {QueryKind::kLogMarginal, QueryKind::kConditionals, QueryKind::kLogZ})
      all.push_back({kind, "one_pass", Status::kEstimate, "1, without a network", Route::kOnePass});
    return all;
  }

  void step(Step&) override {}
  std::string why_not_data_parallel() const override { return ""; }
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Tensor bethe(const Tensor& partial) const {
    std::vector<Tensor> parts;
    for (const auto& rows : partial.split(rows_a_pass(space_.dimension())))
      parts.push_back(source_->of(rows, kLogMarginal).log_marginal.to(torch::kDouble));
    return torch::cat(parts);
  }

  Answer compute_answer(const Query& query, Stream&) const override {
    Answer answer;
    answer.passes = 1;
    switch (query.kind) {
      case QueryKind::kLogMarginal:
        answer.value =
            bethe(query.partial) - bethe(query.given.defined() ? query.given : space_.empty());
        break;
      case QueryKind::kConditionals:
        answer.value =
            log_softmax_levels(source_->of(query.partial, kLogits).logits).to(torch::kDouble);
        break;
      case QueryKind::kLogZ:
        answer.value = bethe(space_.empty());
        break;
      case QueryKind::kSample:
      case QueryKind::kMaxProbable:
        throw Error("draws no samples");
    }
    return answer;
  }

  StateSpace space_;
  std::unique_ptr<PriorSource> source_;
};

}  // namespace
MARGINALIA_PLUGIN(BeliefPropagationFamily);
