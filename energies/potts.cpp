/// \file
/// Potts model of q states on a lattice of any dimension, or on any graph:
///
///   log f(x) = sum_<ij> J_ij [x_i = x_j] + sum_i h [x_i = 0],    x in {0, ..., q-1}^D
///
/// <ij> runs over the bonds, each once; J and h are in nats. With couplings of both signs, from a
/// graph's weights, the Potts glass.
/// Source: Potts (1952), doi:10.1017/S0305004100027419; Wu (1982), doi:10.1103/RevModPhys.54.235;
/// critical on the square lattice at J = log(1 + sqrt q).
#include <marginalia/inference/factored_energy.h>
#include <marginalia/plugin.h>

#include "shared/lattices/graph_file.h"
#include "shared/lattices/lattice.h"

using namespace marginalia;

namespace {

class Potts final : public FactoredEnergy {
 public:
  static constexpr const char* kName = "potts";
  static constexpr const char* kSummary = "Potts model of q states on a lattice or a graph";
  static constexpr const char* kFormula =
      "log f(x) = sum_<ij> J_ij [x_i = x_j] + sum_i h [x_i = 0], each bond once";
  static constexpr const char* kSource = "Wu (1982), doi:10.1103/RevModPhys.54.235";
  static constexpr const char* kExample = R"({"states": 3, "side": 3, "coupling": 0.5})";

  struct Params {
    std::int64_t states = 3, side = 10;
    std::vector<std::int64_t> sides;
    ising::Boundary boundary;
    std::string format = "auto";
    double coupling = 0.5, field = 0, memory = 8;
    FilePath graph;
    void visit(ParamVisitor& p) {
      p("states", states, {.doc = "q, values of a spin", .min = 2});
      p("side", side, {.doc = "L, spins along each side of a square lattice", .min = 1});
      p("sides", sides, {.doc = "spins along each side, in place of side", .min = 1});
      boundary.visit(p);
      p("coupling", coupling, {.doc = "J of each bond, nats; > 0 favours equal spins"});
      p("field", field, {.doc = "h on value 0 of every spin, nats"});
      p("graph", graph,
        {.doc = "file in place of a lattice: edges i j, or i j w with J w for the coupling"});
      graphs::visit_format(p, format);
      p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
    }
  };

  explicit Potts(const Params& params) : Potts(read_bonds(params), params) {}

 private:
  struct Bonds {
    std::vector<graphs::Edge> edges;
    std::vector<std::int64_t> shape;
    std::int64_t sites;
  };

  Potts(const Bonds& bonds, const Params& params)
      : FactoredEnergy(make_model(bonds, params),
                       StateSpace::uniform(bonds.sites, params.states, bonds.shape),
                       params.memory) {}

  static Bonds read_bonds(const Params& params) {
    if (params.graph) {
      const TextFile file(params.graph.existing());
      const auto graph = graphs::read_graph(file, params.format);
      graphs::ignore_vertices(graph, file.name());
      return {graph.edges, {graph.vertices}, graph.vertices};
    }
    const auto shape = ising::read_shape(params.sides, params.side, params.boundary);
    const auto lattice = ising::uniform_lattice(shape, 1, 0);
    std::vector<graphs::Edge> edges;
    for (const auto& bond : lattice.bonds)
      edges.push_back({bond.i, bond.j, bond.J});
    return {edges, lattice.sides, lattice.sites()};
  }

  static FactorModel make_model(const Bonds& bonds, const Params& params) {
    const auto q = params.states;
    FactorModel model;
    model.cardinalities.assign(std::size_t(bonds.sites), q);
    for (const auto& [i, j, weight] : bonds.edges) {
      std::vector<double> table(std::size_t(q * q));
      for (std::int64_t k = 0; k < q; ++k)
        table[std::size_t(k * q + k)] = params.coupling * weight;
      model.factors.push_back({{i, j}, std::move(table)});
    }
    std::vector<double> field(static_cast<std::size_t>(q));
    field[0] = params.field;
    for (std::int64_t i = 0; params.field != 0 && i < bonds.sites; ++i)
      model.factors.push_back({{i}, field});
    return model;
  }
};

}  // namespace

MARGINALIA_PLUGIN(Potts);
