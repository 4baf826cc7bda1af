#include <marginalia/posterior.h>

namespace marginalia {

PosteriorSampler::~PosteriorSampler() = default;

}  // namespace marginalia
