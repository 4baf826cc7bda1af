#include <marginalia/component.h>

namespace marginalia {

// Each class of a kind has its destructor, and so its vtable and type_info, in this library alone:
// types then agree across plugins.
Component::~Component() = default;

}  // namespace marginalia
