#include <marginalia/tool.h>

namespace marginalia {

Tool::~Tool() = default;

}  // namespace marginalia
