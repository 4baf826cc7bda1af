#include <marginalia/component.h>
#include <marginalia/dataset.h>
#include <marginalia/energy.h>
#include <marginalia/family.h>
#include <marginalia/metric.h>
#include <marginalia/tool.h>

namespace marginalia {

// One vtable each, here in the core library, so that types agree across plugins.
Component::~Component() = default;
LocalConditionals::~LocalConditionals() = default;
Readable::~Readable() = default;
Oracle::~Oracle() = default;
PosteriorSampler::~PosteriorSampler() = default;
Energy::~Energy() = default;
Dataset::~Dataset() = default;
Network::~Network() = default;
Family::~Family() = default;
Metric::~Metric() = default;
Unavailable::~Unavailable() = default;
Tool::~Tool() = default;

}  // namespace marginalia
