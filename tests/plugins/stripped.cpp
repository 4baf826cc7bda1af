// Sound, but without the symbols that `strip` takes away, as packages are: to be loaded.
#include "tiny_energy.h"

namespace {
struct Stripped final : TinyEnergy {
  using TinyEnergy::TinyEnergy;
  static constexpr const char* kName = "stripped";
};
}  // namespace
MARGINALIA_PLUGIN(Stripped);
