#include <cstdio>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia {

// Defined here so that each class has one vtable and one type_info, in the core library: a catch in
// the host then matches a throw in a plugin.
Error::~Error() = default;
SpecError::~SpecError() = default;
ImpossibleGiven::ImpossibleGiven(std::int64_t row)
    : SpecError("what is given has probability zero"), row_(row) {}
ImpossibleGiven::~ImpossibleGiven() = default;
UnknownComponent::~UnknownComponent() = default;
EnergyFailure::~EnergyFailure() = default;
PluginError::~PluginError() = default;

void warn(const std::string& text) {
  fmt::print(stderr, "marginalia: warning: {}\n", text);
}

}  // namespace marginalia
