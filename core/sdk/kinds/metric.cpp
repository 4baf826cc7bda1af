#include <marginalia/metric.h>

namespace marginalia {

Metric::~Metric() = default;
Unavailable::~Unavailable() = default;

}  // namespace marginalia
