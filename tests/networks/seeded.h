#pragma once

#include <string>

#include <torch/types.h>

#include <marginalia/network.h>

#include "marginalia_test.h"

namespace marginalia::test {

inline constexpr HeadSet kBothHeads = kLogMarginal | kLogits;

/// A network of these parameters, JSON text, as seed 1 begins it.
inline std::shared_ptr<Network> seeded_network(const std::string& type,
                                               const std::string& parameters,
                                               const NetworkContext& context,
                                               const Precision& precision = {}) {
  torch::manual_seed(1);
  auto net = loaded_registry().make<Network, NetworkContext>(
      Spec::from_text("{\"type\": \"" + type + "\", " + parameters + "}", "spec.json"), context);
  set_precision(*net, precision);
  return net;
}

/// Moves it away from its initial values, some of which are zero.
inline void shake(Network& net, double noise) {
  torch::NoGradGuard no_grad;
  for (auto& parameter : net.parameters())
    parameter.add_(noise * torch::randn_like(parameter));
}

}  // namespace marginalia::test
