#pragma once

#include <filesystem>

#include <marginalia/inference/factored_energy.h>

namespace marginalia::ising {

/// The Ising model on any graph:  log f(x) = sum_e J w_e s_i s_j + sum_i h s_i.
class GraphIsing final : public marginalia::FactoredEnergy {
 public:
  /// file: an edge list as graph_file.h reads it, its weights w_e multiply J; memory: GiB
  /// of exact answers.
  GraphIsing(const std::filesystem::path& file, double coupling, double field, double memory);

 private:
  GraphIsing(marginalia::FactorModel model, double memory);
};

}  // namespace marginalia::ising
