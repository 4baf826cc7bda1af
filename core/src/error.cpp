#include <c10/util/Exception.h>

#include <marginalia/error.h>

namespace marginalia {

// Defined here so that each class has one vtable and one type_info, in the core library: a catch in
// the host then matches a throw in a plugin.
Error::~Error() = default;
SpecError::~SpecError() = default;
PluginError::~PluginError() = default;

std::string message_of(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  return torch_error ? torch_error->what_without_backtrace() : error.what();
}

}  // namespace marginalia
