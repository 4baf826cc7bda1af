#include <marginalia/tool.h>

namespace marginalia {

Tool::~Tool() = default;
TrainedRun::~TrainedRun() = default;

}  // namespace marginalia
