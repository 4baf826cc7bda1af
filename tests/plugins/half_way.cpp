// Adds one component, then fails.
#include <stdexcept>

#include "tiny_energy.h"

namespace {
struct First final : TinyEnergy {
  using TinyEnergy::TinyEnergy;
  static constexpr const char* kName = "half_way_first";
};

void add_to(marginalia::Registry& registry) {
  registry.add<First>();
  throw std::runtime_error("the second half is missing");
}
}  // namespace

MARGINALIA_MANIFEST(add_to);
