// Loads well; its component cannot be built.
#include <stdexcept>

#include "tiny_energy.h"

namespace {
struct Fragile final : TinyEnergy {
  explicit Fragile(const Params& params) : TinyEnergy(params) {
    throw std::runtime_error("the reactor is cold");
  }
  static constexpr const char* kName = "fragile";
};
}  // namespace
MARGINALIA_PLUGIN(Fragile);
