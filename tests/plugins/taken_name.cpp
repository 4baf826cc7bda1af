// Offers a name that another plugin has.
#include "tiny_energy.h"

namespace {
struct Impostor final : TinyEnergy {
  using TinyEnergy::TinyEnergy;
  static constexpr const char* kName = "ising";
};
}  // namespace
MARGINALIA_PLUGIN(Impostor);
