#pragma once

#include <vector>

#include <marginalia/inference/factored_energy.h>
#include <marginalia/inference/planar.h>

#include "shared/lattices/graph_file.h"

namespace marginalia::ising {

/// The Ising model on any graph:  log f(x) = sum_e J w_e s_i s_j + sum_i h_i s_i.
class GraphIsing final : public marginalia::FactoredEnergy {
 public:
  /// The weights w_e of the edges multiply J = coupling; fields: h_i [D]; memory: GiB of exact
  /// answers; planar: how it is drawn.
  GraphIsing(const graphs::Graph& graph, double coupling, const std::vector<double>& fields,
             double memory, marginalia::ByPlanar planar);

  marginalia::Offer<marginalia::Oracle> exact() const override {
    return planar_.oracle(*factors(), space(), [this] { return FactoredEnergy::exact(); });
  }
  marginalia::Offer<marginalia::PosteriorSampler> posterior() const override {
    return planar_.posterior(*factors(), space(), [this] { return FactoredEnergy::exact(); });
  }
  std::optional<marginalia::KnownLogZ> known_log_z() const override {
    return planar_.known_log_z(*factors(), space(), [this] { return FactoredEnergy::exact(); });
  }

 private:
  GraphIsing(marginalia::FactorModel model, double memory, marginalia::ByPlanar planar);
  marginalia::ByPlanar planar_;
};

}  // namespace marginalia::ising
