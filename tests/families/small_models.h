#pragma once

#include <string>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/state_space.h>

#include "built.h"

namespace marginalia::test {

/// Three variables of 2, 3 and 2 values.
inline const StateSpace kSmallSpace{{2, 3, 2}, {3}};

/// A model of four spins on an open square, far from its start, by `noise`, and from the energy.
inline Experiment square(const std::string& network, const std::string& family, double noise) {
  auto experiment = built(fmt::format(R"({{"marginalia": 2, "seed": 2,
      "energy": {{"type": "ising", "side": 2, "boundary": "open", "coupling": 0.7, "field": 0.2}},
      "network": {}, "family": {}}})",
                                      network, family));
  torch::NoGradGuard no_grad;
  for (auto& group : experiment.family->parameters())
    for (auto& [name, parameter] : group.parameters)
      parameter.add_(noise * torch::randn_like(parameter));
  return experiment;
}

}  // namespace marginalia::test
