#include <marginalia/error.h>

namespace marginalia {

// Defined here so that each class has one vtable and one type_info, in the core library: a catch in
// the host then matches a throw in a plugin.
Error::~Error() = default;
SpecError::~SpecError() = default;
UnknownComponent::~UnknownComponent() = default;
PluginError::~PluginError() = default;

}  // namespace marginalia
