#include "graph_ising.h"

#include "shared/lattices/graph_file.h"

namespace marginalia::ising {
namespace {

marginalia::FactorModel make_model(const graphs::Graph& graph, double coupling, double field) {
  marginalia::FactorModel model;
  model.cardinalities.assign(std::size_t(graph.vertices), 2);
  for (const auto& [i, j, weight] : graph.edges) {
    const auto J = coupling * weight;
    model.factors.push_back({{i, j}, {J, -J, -J, J}});
  }
  if (field != 0)
    for (std::int64_t i = 0; i < graph.vertices; ++i)
      model.factors.push_back({{i}, {-field, field}});
  return model;
}

}  // namespace

GraphIsing::GraphIsing(const std::filesystem::path& file, double coupling, double field,
                       double memory)
    : GraphIsing(make_model(graphs::read_graph(file), coupling, field), memory) {}

GraphIsing::GraphIsing(marginalia::FactorModel model, double memory)
    : FactoredEnergy(model,
                     marginalia::StateSpace::uniform(std::int64_t(model.cardinalities.size()), 2),
                     memory) {}

}  // namespace marginalia::ising
