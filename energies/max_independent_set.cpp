/// \file
/// Independent sets of a graph, large ones likelier; vertex i is in the set where x_i = 1:
///
///   log f(x) = beta sum_i x_i - lambda sum_ij x_i x_j
///
/// ij runs over the edges; beta is the inverse temperature, the log of the fugacity of the
/// hard-core model. An infinite lambda forbids sets with an edge inside. Weights of edges are not
/// looked at.
/// Source: van den Berg and Steif (1994), doi:10.1016/0304-4149(94)90132-5 (the hard-core model);
/// the penalty: Lucas (2014), doi:10.3389/fphy.2014.00005, section 4.2.
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/plugin.h>

#include "shared/lattices/graph_sums.h"

using namespace marginalia;

namespace {

/// The graph with weight 1 on each edge.
graphs::Graph unweighted(graphs::Graph graph) {
  for (auto& edge : graph.edges)
    edge.weight = 1;
  return graph;
}

class MaxIndependentSet final : public Energy, private LocalConditionals, private Readable {
 public:
  static constexpr const char* kName = "max_independent_set";
  static constexpr const char* kSummary = "independent sets of a graph, large ones likelier";
  static constexpr const char* kFormula =
      "log f(x) = beta sum_i x_i - lambda sum_ij x_i x_j, each edge once";
  static constexpr const char* kSource =
      "van den Berg and Steif (1994), doi:10.1016/0304-4149(94)90132-5; the penalty: Lucas (2014), "
      "doi:10.3389/fphy.2014.00005, section 4.2";
  static constexpr const char* kExample =
      R"({"edges": ["1 2", "2 3", "3 4", "4 5", "5 1", "1 6"], "penalty": 2})";

  struct Params {
    graphs::GraphParams graph;
    double inverse_temperature = 1, penalty = std::numeric_limits<double>::infinity(),
           best_known = 0;
    void visit(ParamVisitor& p) {
      graph.visit(p);
      p("inverse_temperature", inverse_temperature, {.doc = "beta, nats per vertex in the set"});
      p("penalty", penalty,
        {.doc = "lambda, nats per edge inside the set; left out, it is infinite: such sets are "
                "forbidden",
         .min = 0});
      p("best_known", best_known,
        {.doc = "size of the largest set known, told beside a state's own; 0: not known",
         .min = 0});
    }
  };

  explicit MaxIndependentSet(const Params& params)
      : MaxIndependentSet(params, unweighted(params.graph.graph())) {}

  const StateSpace& space() const override { return space_; }
  Offer<LocalConditionals> local() const override { return {this}; }
  Offer<FactorModel> factors() const override { return {&model_}; }
  Offer<Oracle> exact() const override { return elimination_.oracle(model_, space_); }
  Offer<Readable> readable() const override { return {this}; }
  Offer<PairwiseFactors> pairwise() const override {
    if (hard())
      return Offer<PairwiseFactors>::none(
          "sets with an edge inside are forbidden, which no finite factor says; a finite "
          "\"penalty\" has pairwise factors");
    return {&factors_};
  }

 private:
  MaxIndependentSet(const Params& params, const graphs::Graph& graph)
      : beta_(params.inverse_temperature),
        lambda_(params.penalty),
        best_known_(params.best_known),
        space_(StateSpace::uniform(graph.vertices, 2)),
        chosen_(graph, 0, 1),
        colours_(graphs::colouring(graph)),
        model_(graphs::to_factors(graph, {0, 0, 0, -lambda_})),
        elimination_(params.graph.memory) {
    for (std::int64_t i = 0; i < graph.vertices; ++i)
      model_.factors.push_back({{i}, {0, beta_}});
    if (!hard()) list_factors(graph);
  }

  void list_factors(const graphs::Graph& graph) {
    const auto E = static_cast<std::int64_t>(graph.edges.size());
    factors_.unary = torch::tensor({0.0, beta_}, torch::kFloat).repeat({graph.vertices, 1});
    factors_.edges = graphs::list_ends(graph);
    factors_.pairs = torch::zeros({E, 2, 2});
    factors_.pairs.select(1, 1).select(1, 1).fill_(-lambda_);
  }

  bool hard() const { return std::isinf(lambda_); }
  /// -lambda times a number of edges, where 0 edges cost nothing.
  Tensor cost(const Tensor& edges) const {
    return hard() ? torch::zeros_like(edges).masked_fill(edges > 0, -INFINITY) : -lambda_ * edges;
  }

  Tensor compute_log_density(const Tensor& x) const override {
    return beta_ * x.sum(1).to(torch::kDouble) + cost(chosen_.total(x));
  }
  Tensor known_part(const Tensor& partial) const override {
    return compute_log_density(partial.clamp_min(0));  // unknown is as good as not chosen
  }
  const Tensor& colours() const override { return colours_; }

  /// A vertex has 0 outside the set; inside, beta - lambda times the number of its neighbours that
  /// are known to be in the set.
  Tensor logits(const Tensor& partial) const override {
    return chosen_.logits(partial, {0, beta_}, {0, -lambda_});
  }

  /// The size of the set less the edges inside it: of an independent set its size, of another no
  /// more than the size of an independent set that it holds. float64 [B]
  Tensor raw_score(const Tensor& x) const override { return x.sum(1) - chosen_.total(x); }

  /// "set of 3, best known 4: 1 5 7", its vertices from 1.
  std::string to_text(const Tensor& state) const override {
    const auto x = state.to(torch::kCPU).unsqueeze(0);
    const auto inside = chosen_.total(x).item<double>();
    const auto edges = inside == 0 ? "" : fmt::format(" with {} edges inside", inside);
    const auto best = best_known_ == 0 ? "" : fmt::format(", best known {}", best_known_);
    const auto set = ((x[0] == 1).nonzero().flatten() + 1).contiguous();
    const auto* vertices = set.data_ptr<std::int64_t>();
    return fmt::format("set of {}{}{}: {}", set.numel(), edges, best,
                       fmt::join(vertices, vertices + set.numel(), " "));
  }

  double beta_, lambda_, best_known_;
  StateSpace space_;
  graphs::EdgeSums chosen_;  // of x itself: total is the number of edges inside the set
  Tensor colours_;
  PairwiseFactors factors_;  // of a finite penalty
  FactorModel model_;
  ByElimination elimination_;
};

}  // namespace

MARGINALIA_PLUGIN(MaxIndependentSet);
