/// \file
/// Maximum cut of a weighted graph:
///
///   log f(x) = beta cut(x),   cut(x) = sum_ij w_ij [x_i != x_j] = (W - sum_ij w_ij s_i s_j) / 2
///
/// ij runs over the edges, W is the sum of their weights, s = 2x - 1 in {-1, +1}^D; beta is the
/// inverse temperature, nats per unit of weight. The factors of `local()` are a constant W / 2 and
/// one of each edge, -w_ij s_i s_j / 2.
/// Source: Barahona, Groetschel, Juenger and Reinelt (1988), doi:10.1287/opre.36.3.493; files of
/// Gset (Helmberg and Rendl 2000, doi:10.1137/S1052623497328987) and the BiqMac library (Wiegele
/// 2007).
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/elimination.h>
#include <marginalia/plugin.h>

#include "published/biqmac.h"
#include "published/gset.h"
#include "shared/lattices/drawing.h"
#include "shared/lattices/graph_sums.h"

using namespace marginalia;

namespace {

class MaxCut final : public Energy, private LocalConditionals, private Readable {
 public:
  static constexpr const char* kName = "max_cut";
  static constexpr const char* kSummary = "cuts of a weighted graph, heavy ones likelier";
  static constexpr const char* kFormula =
      "log f(x) = beta cut(x), cut(x) = sum_ij w_ij [x_i != x_j], each edge once";
  static constexpr const char* kSource =
      "Barahona, Groetschel, Juenger and Reinelt (1988), doi:10.1287/opre.36.3.493";
  static constexpr const char* kExample =
      R"({"edges": ["1 2", "2 3 -1.5", "3 4", "4 5 2", "5 1", "1 3 0.5"]})";
  static std::vector<PublicFile> sources();

  struct Params {
    graphs::GraphParams graph;
    FilePath positions;
    double inverse_temperature = 1, best_known = 0;
    void visit(ParamVisitor& p) {
      graph.visit(p);
      graphs::visit_positions(p, positions);
      p("inverse_temperature", inverse_temperature, {.doc = "beta, nats per unit of weight"});
      p("best_known", best_known,
        {.doc = "weight of the heaviest cut known, told beside a state's own; 0: not known",
         .min = 0});
    }
  };

  explicit MaxCut(const Params& params) : MaxCut(params, load_graph(params)) {}

  const StateSpace& space() const override { return space_; }
  Offer<LocalConditionals> local() const override { return {this}; }
  Offer<PairwiseFactors> pairwise() const override { return {&factors_}; }
  Offer<FactorModel> factors() const override { return {&model_}; }
  Offer<Oracle> exact() const override {
    return planar_.oracle(model_, space_, [this] { return elimination_.oracle(model_, space_); });
  }
  Offer<PosteriorSampler> posterior() const override {
    return planar_.posterior(model_, space_,
                             [this] { return elimination_.oracle(model_, space_); });
  }
  std::optional<KnownLogZ> known_log_z() const override {
    return planar_.known_log_z(model_, space_,
                               [this] { return elimination_.oracle(model_, space_); });
  }
  Offer<Readable> readable() const override { return {this}; }

 private:
  static graphs::Graph load_graph(const Params& params) {
    auto graph = params.graph.graph();
    graphs::ignore_vertices(graph, params.graph.file.found.string());
    return graph;
  }

  MaxCut(const Params& params, const graphs::Graph& graph)
      : beta_(params.inverse_temperature),
        best_known_(params.best_known),
        space_(StateSpace::uniform(graph.vertices, 2)),
        spins_(graph, -1, 1),
        colours_(graphs::colouring(graph)),
        model_(graphs::to_factors(graph, {0, beta_, beta_, 0})),
        elimination_(params.graph.memory),
        planar_(graphs::planar_answers(params.positions, graph)) {
    list_factors(graph);
  }

  void list_factors(const graphs::Graph& graph) {
    std::vector<float> w;
    for (const auto& edge : graph.edges) {
      weight_ += edge.weight;
      w.push_back(static_cast<float>(beta_ * edge.weight));
    }
    const auto apart = torch::tensor(w, torch::kFloat), together = torch::zeros_like(apart);
    factors_.unary = torch::zeros({graph.vertices, 2});
    factors_.edges = graphs::list_ends(graph);
    factors_.pairs = torch::stack({together, apart, apart, together}, 1).view({-1, 2, 2});
  }

  /// The weight of the cut: float64 [B]. An edge with an unknown end counts half.
  Tensor raw_score(const Tensor& x) const override { return 0.5 * (weight_ - spins_.total(x)); }

  Tensor compute_log_density(const Tensor& x) const override { return beta_ * raw_score(x); }
  Tensor known_part(const Tensor& partial) const override { return beta_ * raw_score(partial); }
  const Tensor& colours() const override { return colours_; }

  /// At vertex i, -beta s_i sum_{known j} w_ij s_j / 2, for s_i = -1 and +1.
  Tensor logits(const Tensor& partial) const override {
    return spins_.logits(partial, {0, 0}, {0.5 * beta_, -0.5 * beta_});
  }

  /// "cut 12, best known 14: 0110101".
  std::string to_text(const Tensor& state) const override {
    const auto best = best_known_ == 0 ? "" : fmt::format(", best known {}", best_known_);
    return fmt::format("cut {}{}: {}", raw_score(state.unsqueeze(0)).item<double>(), best,
                       space_.to_text(state));
  }

  double beta_, best_known_;
  StateSpace space_;
  graphs::EdgeSums spins_;  // of s = 2x - 1
  Tensor colours_;
  double weight_ = 0;  // W
  PairwiseFactors factors_;
  FactorModel model_;  // the same in float64
  ByElimination elimination_;
  ByPlanar planar_;
};

std::vector<PublicFile> MaxCut::sources() {
  const std::string copies = "https://raw.githubusercontent.com/KULeuven-MICAS/openising/"
                             "647e3b0e0ffcda53955b69b02957a7d09e011b24/ising/benchmarks/";
  const std::string others = "https://raw.githubusercontent.com/wangjie212/ManiSDP-matlab/"
                             "00ac20cd0316a28891907be00149adca7e6ad5ab/data/Gset";
  std::vector<PublicFile> all;
  add_published(all, kGsetElsewhere, "maxcut/gset", others, ".txt", ".txt");
  add_published(all, kGset, "maxcut/gset", copies + "G", ".txt", ".txt");
  add_published(all, kRudy, "maxcut/biqmac", copies + "biqmac/rudy", "", ".txt");
  add_published(all, kBiqmacIsing, "maxcut/biqmac", copies + "biqmac/ising", "", ".txt");
  return all;
}

}  // namespace

MARGINALIA_PLUGIN(MaxCut);
