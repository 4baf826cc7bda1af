/// \file
/// Ising model on a lattice of any dimension, or on any graph, with any couplings and fields:
///
///   log f(x) = sum_<ij> J_ij s_i s_j + sum_i h_i s_i,    s = 2x - 1 in {-1, +1}^D
///
/// <ij> runs over the bonds between nearest neighbours, or the edges of a graph, each once. J and h
/// are in nats: the inverse temperature is part of them. Source: the Ising target of Liu, Ramadge
/// and Adams (2024), arXiv:2310.12920, whose s^T J s counts each bond twice: their sigma 0.1 is a
/// coupling of 0.2. With couplings from a file, the spin glass of Edwards and Anderson (1975),
/// doi:10.1088/0305-4608/5/5/017.
#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/energy.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/plugin.h>

#include "extrapolation.h"
#include "graph_ising.h"
#include "shared/lattices/drawing.h"
#include "shared/lattices/lattice.h"
#include "transfer_matrix.h"

using namespace marginalia;

namespace {

constexpr std::int64_t kMaxSites = 1 << 24;

/// The component: a lattice or a graph, by what is given.
struct Ising {
  using Interface = Energy;
  static constexpr const char* kName = "ising";
  static constexpr const char* kSummary =
      "Ising model on a lattice of any dimension, or on a graph";
  static constexpr const char* kFormula =
      "log f(x) = sum_<ij> J_ij s_i s_j + sum_i h_i s_i, s = 2x - 1, each bond once";
  static constexpr const char* kSource =
      "Liu, Ramadge and Adams (2024), arXiv:2310.12920; their sigma is half the coupling";
  static constexpr const char* kExample = R"({"side": 4, "coupling": 0.3, "field": -0.1})";

  struct Params {
    std::int64_t side = 10;
    std::vector<std::int64_t> sides;
    ising::Boundary boundary;
    std::string format = "auto";
    double coupling = 0.2, field = 0.2;
    FilePath couplings, fields, graph, positions;
    double memory = 8;
    void visit(ParamVisitor& p) {
      p("side", side, {.doc = "L, spins along each side of a square lattice", .min = 1});
      p("sides", sides,
        {.doc = "spins along each side, in place of side: [8], [4, 4, 4]", .min = 1});
      boundary.visit(p);
      p("coupling", coupling, {.doc = "J of each bond, nats; > 0 favours equal spins"});
      p("field", field, {.doc = "h on every spin, nats"});
      p("couplings", couplings,
        {.doc = "file in place of coupling: lines i j J, sites from 0 row by "
                "row; or one J a line, site by site, axis by axis"});
      p("fields", fields,
        {.doc = "file in place of field: one h a site, row by row; or a vertex of the graph"});
      p("graph", graph,
        {.doc =
             "file in place of a lattice: edges i j, or i j w with J w for the coupling; lines i i "
             "h of COO add J h to the field"});
      graphs::visit_format(p, format);
      graphs::visit_positions(p, positions);
      p("memory", memory, {.doc = "GiB that exact answers on a graph may take", .min = 0});
    }
  };

  static std::shared_ptr<Energy> make(const Params& params);
};

class LatticeIsing final : public Energy, private LocalConditionals {
 public:
  explicit LatticeIsing(const Ising::Params& params)
      : params_(params),
        lattice_(make_lattice(params)),
        space_(StateSpace::uniform(lattice_.sites(), 2, lattice_.sides)),
        colours_(torch::tensor(ising::colouring(lattice_))),
        obstacle_(ising::TransferMatrix::obstacle(lattice_)),
        planar_(ising::planar_answers(lattice_)) {
    if (obstacle_.empty()) oracle_ = std::make_unique<ising::TransferMatrix>(lattice_, space_);
    list_neighbours();
    list_factors();
  }

  const StateSpace& space() const override { return space_; }
  Offer<LocalConditionals> local() const override { return {this}; }
  Offer<PairwiseFactors> pairwise() const override { return {&pairs_}; }
  Offer<FactorModel> factors() const override { return {&factors_}; }
  Offer<Oracle> exact() const override;
  Offer<PosteriorSampler> posterior() const override;
  std::optional<KnownLogZ> known_log_z() const override {
    const bool uniform = lattice_.all_periodic() && !params_.couplings && !params_.fields;
    const bool closed_form = params_.field == 0 && params_.coupling > 0;
    const auto planar = uniform && closed_form
                            ? std::nullopt
                            : planar_.known_log_z(factors_, space_, [this] { return no_other(); });
    if (planar || !uniform) return planar;
    std::call_once(extrapolated_, [&] {
      known_log_z_ = ising::wide_torus(lattice_.sides, params_.coupling, params_.field);
    });
    return known_log_z_;
  }

 private:
  static ising::Lattice make_lattice(const Ising::Params& params);
  Offer<Oracle> no_other() const { return Offer<Oracle>::none(obstacle_); }
  bool by_planar() const;

  Tensor compute_log_density(const Tensor& x) const override { return sum_of_factors(x); }
  Tensor known_part(const Tensor& partial) const override { return sum_of_factors(partial); }
  Tensor logits(const Tensor& partial) const override;
  const Tensor& colours() const override { return colours_; }

  Tensor sum_of_factors(const Tensor& x) const;
  Tensor field_at(const Tensor& s) const;
  void list_neighbours();
  void list_factors();

  Ising::Params params_;
  ising::Lattice lattice_;
  StateSpace space_;
  Tensor colours_;
  std::string obstacle_;  // why there is no transfer matrix
  ByPlanar planar_;
  mutable std::unique_ptr<Oracle> oracle_;
  mutable std::once_flag enumerated_, extrapolated_;
  mutable std::optional<KnownLogZ> known_log_z_;
  PairwiseFactors pairs_;
  FactorModel factors_;
  Tensor neighbour_, J_, h_;  // int64 [D, 2d] and float64 [D, 2d]: J = 0 where there is none; [D]
};

/// h_i of the vertices of a graph: [D].
std::vector<double> make_fields(const graphs::Graph& graph, const Ising::Params& params) {
  if (!graph.weights.empty())
    warn(fmt::format("{}: the weights of vertices are passed over; lines \"i i h\" of COO are "
                     "fields",
                     params.graph.found.string()));
  auto fields = params.fields ? ising::read_fields(TextFile(params.fields.existing()),
                                                   graph.vertices, "a graph")
                              : std::vector<double>(std::size_t(graph.vertices), params.field);
  for (std::size_t i = 0; i < graph.fields.size(); ++i)
    fields[i] += params.coupling * graph.fields[i];
  return fields;
}

std::shared_ptr<Energy> Ising::make(const Params& params) {
  if (params.positions && !params.graph)
    throw SpecError("\"positions\" are those of the vertices of \"graph\"");
  if (!params.graph) return std::make_shared<LatticeIsing>(params);
  if (!params.sides.empty() || params.couplings)
    throw SpecError("\"graph\" stands in place of \"sides\" and \"couplings\"");
  const auto graph = graphs::read_graph(TextFile(params.graph.existing()), params.format);
  return std::make_shared<ising::GraphIsing>(graph, params.coupling, make_fields(graph, params),
                                             params.memory,
                                             graphs::planar_answers(params.positions, graph));
}

/// The lattice, or the reason why there is none.
ising::Lattice LatticeIsing::make_lattice(const Ising::Params& params) {
  const auto shape = ising::read_shape(params.sides, params.side, params.boundary);
  double sites = 1;
  for (const auto side : shape.sides)
    sites *= double(side);
  if (sites > kMaxSites)
    throw SpecError(fmt::format("{:.3g} sites are too many; take at most {}", sites, kMaxSites));

  auto lattice = ising::uniform_lattice(shape, params.coupling, params.field);
  if (params.couplings) ising::read_couplings(TextFile(params.couplings.existing()), lattice);
  if (params.fields) ising::read_fields(TextFile(params.fields.existing()), lattice);
  return lattice;
}

/// Where neither the transfer matrix nor enumeration is there.
bool LatticeIsing::by_planar() const {
  return !obstacle_.empty() && space_.log_states() > std::log(double(kEnumerationLimit));
}

Offer<PosteriorSampler> LatticeIsing::posterior() const {
  if (!by_planar()) return Energy::posterior();
  return planar_.posterior(factors_, space_, [this] { return no_other(); });
}

Offer<Oracle> LatticeIsing::exact() const {
  if (by_planar()) return planar_.oracle(factors_, space_, [this] { return no_other(); });
  std::call_once(enumerated_, [&] {
    if (!oracle_) oracle_ = std::make_unique<EnumerationOracle>(*this);
  });
  return {oracle_.get()};
}

void LatticeIsing::list_neighbours() {
  const auto D = lattice_.sites(), d = static_cast<std::int64_t>(lattice_.sides.size());
  neighbour_ = torch::zeros({D, 2 * d}, torch::kLong);
  J_ = torch::zeros({D, 2 * d}, torch::kDouble);
  h_ = torch::tensor(lattice_.fields, torch::kDouble);
  auto neighbour = neighbour_.accessor<std::int64_t, 2>();
  auto coupling = J_.accessor<double, 2>();
  for (const auto& [i, j, axis, J] : lattice_.bonds) {
    neighbour[i][axis] = j;
    neighbour[j][d + axis] = i;
    coupling[i][axis] = coupling[j][d + axis] = J;
  }
}

void LatticeIsing::list_factors() {
  std::vector<std::int64_t> ends;
  std::vector<float> couplings;
  factors_.cardinalities = space_.cardinalities;
  for (const auto& [i, j, axis, J] : lattice_.bonds) {
    ends.insert(ends.end(), {std::min(i, j), std::max(i, j)});
    couplings.push_back(static_cast<float>(J));
    factors_.factors.push_back({{i, j}, {J, -J, -J, J}});
  }
  for (std::size_t i = 0; i < lattice_.fields.size(); ++i)
    factors_.factors.push_back({{std::int64_t(i)}, {-lattice_.fields[i], lattice_.fields[i]}});
  const auto h = h_.to(torch::kFloat), J = torch::tensor(couplings);
  pairs_.unary = torch::stack({-h, h}, 1);
  pairs_.edges = torch::tensor(ends).view({-1, 2});
  pairs_.pairs = torch::stack({J, -J, -J, J}, 1).view({-1, 2, 2});  // at (0,0) (0,1) (1,0) (1,1)
}

/// s = 2x - 1, and 0 where x is unknown: then a factor with an unknown spin contributes nothing.
double spin(std::int64_t x) {
  return x == kUnknown ? 0.0 : 2.0 * double(x) - 1.0;
}

Tensor spins(const Tensor& x) {
  return torch::where(x == kUnknown, 0, 2 * x - 1).to(torch::kDouble);
}

/// Calls f(b, s) with the spins s [D] of each row of x, on several threads.
template <class F>
void for_each_row(const Tensor& x, F f) {
  const auto rows = x.contiguous();
  const auto* values = rows.data_ptr<std::int64_t>();
  const auto D = rows.size(1);
  at::parallel_for(0, rows.size(0), 1 + (1 << 14) / D, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> s(static_cast<std::size_t>(D));
    for (auto b = begin; b < end; ++b) {
      std::transform(values + b * D, values + (b + 1) * D, s.begin(), spin);
      f(b, s);
    }
  });
}

/// sum_<ij> J_ij s_i s_j + sum_i h_i s_i.  x: int64 [B, D], may be partial  ->  float64 [B].
Tensor LatticeIsing::sum_of_factors(const Tensor& x) const {
  if (!x.is_cpu()) {  // each bond acts at both its ends: half
    const auto s = spins(x);
    return 0.5 * (s * (h_.to(x.device()) + field_at(s))).sum(1);
  }
  auto result = torch::empty({x.size(0)}, torch::kDouble);
  auto* log_f = result.data_ptr<double>();
  for_each_row(x, [&](std::int64_t b, const std::vector<double>& s) {
    double sum = 0;
    for (const auto& [i, j, axis, J] : lattice_.bonds)
      sum += J * s[i] * s[j];
    for (std::size_t i = 0; i < s.size(); ++i)
      sum += lattice_.fields[i] * s[i];
    log_f[b] = sum;
  });
  return result;
}

/// At spin i, s_i (h_i + sum_{known j} J_ij s_j), for s_i = -1 and +1.
Tensor LatticeIsing::logits(const Tensor& partial) const {
  const auto B = partial.size(0), D = partial.size(1);
  if (!partial.is_cpu()) {
    const auto field = field_at(spins(partial));
    return torch::stack({-field, field}, 2).to(torch::kFloat);
  }
  auto result = torch::empty({B, D, 2}, torch::kFloat);
  auto* logits = result.data_ptr<float>();
  for_each_row(partial, [&](std::int64_t b, const std::vector<double>& s) {
    auto field = lattice_.fields;
    for (const auto& [i, j, axis, J] : lattice_.bonds) {
      field[i] += J * s[j];
      field[j] += J * s[i];
    }
    for (std::int64_t i = 0; i < D; ++i) {
      logits[2 * (b * D + i)] = static_cast<float>(-field[i]);
      logits[2 * (b * D + i) + 1] = static_cast<float>(field[i]);
    }
  });
  return result;
}

/// h_i + sum_j J_ij s_j, in tensor operations, for any device.  s: float64 [B, D]  ->  [B, D].
Tensor LatticeIsing::field_at(const Tensor& s) const {
  const auto neighbour = neighbour_.to(s.device()), J = J_.to(s.device());  // [D, 2d]
  const auto pull = s.index_select(1, neighbour.flatten()).view({-1, J.size(0), J.size(1)}) * J;
  return h_.to(s.device()) + pull.sum(2);
}

}  // namespace

MARGINALIA_PLUGIN(Ising);
