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

extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = {
    marginalia::kPluginAbi, marginalia::kBuildStamp, "half_way", "0.0", add_to};
