#include "graph_ising.h"

#include <utility>

namespace marginalia::ising {
namespace {

marginalia::FactorModel make_model(const graphs::Graph& graph, double coupling,
                                   const std::vector<double>& fields) {
  marginalia::FactorModel model;
  model.cardinalities.assign(std::size_t(graph.vertices), 2);
  for (const auto& [i, j, weight] : graph.edges) {
    const auto J = coupling * weight;
    model.factors.push_back({{i, j}, {J, -J, -J, J}});
  }
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields[i] != 0) model.factors.push_back({{std::int64_t(i)}, {-fields[i], fields[i]}});
  return model;
}

}  // namespace

GraphIsing::GraphIsing(const graphs::Graph& graph, double coupling,
                       const std::vector<double>& fields, double memory,
                       marginalia::ByPlanar planar)
    : GraphIsing(make_model(graph, coupling, fields), memory, std::move(planar)) {}

GraphIsing::GraphIsing(marginalia::FactorModel model, double memory, marginalia::ByPlanar planar)
    : FactoredEnergy(model,
                     marginalia::StateSpace::uniform(std::int64_t(model.cardinalities.size()), 2),
                     memory),
      planar_(std::move(planar)) {}

}  // namespace marginalia::ising
