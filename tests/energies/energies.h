#pragma once

#include <filesystem>
#include <string>

#include <fmt/format.h>

#include <marginalia/energy.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/oracle.h>

#include "marginalia_test.h"

namespace marginalia::test {

/// The energy of a spec, JSON text, whose files lie in `data`.
inline std::shared_ptr<Energy> make_energy(const std::string& spec,
                                           const std::filesystem::path& data) {
  return loaded_registry().make<Energy>(Spec::from_text(spec, "spec.json", {data, data}));
}

/// An energy of that type on a graph.
inline std::shared_ptr<Energy> graph_energy(const std::string& type, const std::string& parameters,
                                            const std::filesystem::path& data = {}) {
  return make_energy(fmt::format(R"({{"type": "{}", {}}})", type, parameters), data);
}

inline double log_z(const Energy& energy) {
  return ExactAnswers(energy).oracle()->log_z();
}

/// Random states of binary variables of which a random part, from none to all, is unknown: [B, D].
inline Tensor random_partial(std::int64_t B, std::int64_t D) {
  const auto unknown = torch::rand({B, D}) < torch::linspace(0, 1, B).unsqueeze(1);
  return torch::randint(2, {B, D}, torch::kLong).masked_fill(unknown, kUnknown);
}

}  // namespace marginalia::test
