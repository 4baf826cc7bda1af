/// \file
/// Independent sets of a graph, large ones likelier; vertex i is in the set where x_i = 1:
///
///   log f(x) = beta sum_i w_i x_i - lambda sum_ij x_i x_j
///
/// ij runs over the edges; w_i is the weight of a vertex, 1 where the file gives none; beta is the
/// inverse temperature, the log of the fugacity of the hard-core model. An infinite lambda forbids
/// sets with an edge inside. Weights of edges are not looked at. Source: van den Berg and Steif
/// (1994), doi:10.1016/0304-4149(94)90132-5 (the hard-core model); the penalty: Lucas (2014),
/// doi:10.3389/fphy.2014.00005, section 4.2.
#include <algorithm>
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

/// The graph with weight 1 on each edge, and weights on all vertices.
graphs::Graph weighted_by_vertices(graphs::Graph graph) {
  if (graph.weights.empty()) graph.weights.assign(std::size_t(graph.vertices), 1);
  for (auto& edge : graph.edges)
    edge.weight = 1;
  return graph;
}

/// The graph with the smaller weight of its ends on each edge: what a set loses at most by leaving
/// out one end of each edge inside.
graphs::Graph weighted_by_lighter_end(graphs::Graph graph) {
  for (auto& [i, j, weight] : graph.edges)
    weight = std::min(graph.weights[std::size_t(i)], graph.weights[std::size_t(j)]);
  return graph;
}

class MaxIndependentSet final : public Energy, private LocalConditionals, private Readable {
 public:
  static constexpr const char* kName = "max_independent_set";
  static constexpr const char* kSummary = "independent sets of a graph, large ones likelier";
  static constexpr const char* kFormula =
      "log f(x) = beta sum_i w_i x_i - lambda sum_ij x_i x_j, each edge once";
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
      p("inverse_temperature", inverse_temperature,
        {.doc =
             "beta, nats per vertex in the set, or per unit of weight where the file has weights"});
      p("penalty", penalty,
        {.doc = "lambda, nats per edge inside the set; left out, it is infinite: such sets are "
                "forbidden",
         .min = 0});
      p("best_known", best_known,
        {.doc =
             "size, or weight, of the largest set known, told beside a state's own; 0: not known",
         .min = 0});
    }
  };

  explicit MaxIndependentSet(const Params& params)
      : MaxIndependentSet(params, weighted_by_vertices(load_graph(params))) {}

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
  static graphs::Graph load_graph(const Params& params) {
    auto graph = params.graph.graph();
    if (!graph.fields.empty())
      throw SpecError(
          fmt::format("{}: has fields, lines \"i i h\"; the weight of a vertex is a line "
                      "\"n i w\" of DIMACS",
                      params.graph.file.found.string()));
    return graph;
  }

  MaxIndependentSet(const Params& params, const graphs::Graph& graph)
      : beta_(params.inverse_temperature),
        lambda_(params.penalty),
        best_known_(params.best_known),
        space_(StateSpace::uniform(graph.vertices, 2)),
        weights_(torch::tensor(graph.weights, torch::kDouble)),
        chosen_(graph, 0, 1),
        surplus_(weighted_by_lighter_end(graph), 0, 1),
        colours_(graphs::colouring(graph)),
        model_(graphs::to_factors(graph, {0, 0, 0, -lambda_})),
        elimination_(params.graph.memory) {
    for (std::int64_t i = 0; i < graph.vertices; ++i)
      model_.factors.push_back({{i}, {0, beta_ * graph.weights[std::size_t(i)]}});
    if (!hard()) list_factors(graph);
  }

  void list_factors(const graphs::Graph& graph) {
    const auto E = static_cast<std::int64_t>(graph.edges.size());
    factors_.unary =
        torch::stack({torch::zeros_like(weights_), beta_ * weights_}, 1).to(torch::kFloat);
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
    return beta_ * weight(x) + cost(chosen_.total(x));
  }
  Tensor known_part(const Tensor& partial) const override {
    return compute_log_density(partial.clamp_min(0));  // unknown is as good as not chosen
  }
  const Tensor& colours() const override { return colours_; }

  /// Of vertex i, 0 outside the set, and beta w_i - lambda (its neighbours known to be in it)
  /// inside.
  Tensor logits(const Tensor& partial) const override {
    auto logits = chosen_.logits(partial, {0, 0}, {0, -lambda_});
    logits.select(2, 1) += (beta_ * weights_).to(logits.options());
    return logits;
  }

  /// The weight of the chosen vertices: float64 [B].
  Tensor weight(const Tensor& x) const {
    return x.to(torch::kDouble).matmul(weights_.to(x.device()));
  }

  /// The weight of the set less the lighter end of each edge inside: of an independent set its
  /// weight, of another no more than that of an independent set that it holds. float64 [B]
  Tensor raw_score(const Tensor& x) const override { return weight(x) - surplus_.total(x); }

  /// "set of 3, best known 4: 1 5 7", its vertices from 1.
  std::string to_text(const Tensor& state) const override {
    const auto x = state.to(torch::kCPU).unsqueeze(0);
    const auto inside = chosen_.total(x).item<double>();
    const auto edges = inside == 0 ? "" : fmt::format(" with {} edges inside", inside);
    const auto best = best_known_ == 0 ? "" : fmt::format(", best known {}", best_known_);
    const auto set = ((x[0] == 1).nonzero().flatten() + 1).contiguous();
    const auto* vertices = set.data_ptr<std::int64_t>();
    const bool weighted = (weights_ != 1).any().item<bool>();
    const auto sum = weighted ? fmt::format(" and weight {}", weight(x).item<double>()) : "";
    return fmt::format("set of {}{}{}{}: {}", set.numel(), sum, edges, best,
                       fmt::join(vertices, vertices + set.numel(), " "));
  }

  double beta_, lambda_, best_known_;
  StateSpace space_;
  Tensor weights_;            // w: float64 [D]
  graphs::EdgeSums chosen_;   // of x itself: total is the number of edges inside the set
  graphs::EdgeSums surplus_;  // of the lighter ends of those edges
  Tensor colours_;
  PairwiseFactors factors_;  // of a finite penalty
  FactorModel model_;
  ByElimination elimination_;
};

}  // namespace

MARGINALIA_PLUGIN(MaxIndependentSet);
