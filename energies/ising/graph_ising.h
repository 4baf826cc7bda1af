#pragma once

#include <vector>

#include <marginalia/inference/factored_energy.h>

#include "shared/lattices/graph_file.h"

namespace marginalia::ising {

/// The Ising model on any graph:  log f(x) = sum_e J w_e s_i s_j + sum_i h_i s_i.
class GraphIsing final : public marginalia::FactoredEnergy {
 public:
  /// The weights w_e of the edges multiply J = coupling; fields: h_i [D]; memory: GiB of exact
  /// answers.
  GraphIsing(const graphs::Graph& graph, double coupling, const std::vector<double>& fields,
             double memory);

 private:
  GraphIsing(marginalia::FactorModel model, double memory);
};

}  // namespace marginalia::ising
