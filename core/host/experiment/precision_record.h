#pragma once

#include <string>
#include <vector>

#include <c10/core/Device.h>

#include <marginalia/json.h>

namespace marginalia {

/// Puts `training`, and what follows from it for answers, in the place of each "auto" of a resolved
/// spec. Answers are float32, or float64 where training is. A `training` of "auto" leaves them.
void settle_precision(Json& spec, const std::string& training);

/// What run.json says of it: {"training": {"asked", "used", "why"}, "evaluation": {...}}, and
/// "in_hardware" where bfloat16 is used. asked, used: the resolved spec before and after.
Json precision_record(const Json& asked, const Json& used, at::Device device);

/// A warning, with what it costs as just measured, where bfloat16 is used on a device without the
/// hardware for it by one of these sections of a spec, "training" or "evaluation"; "" elsewhere.
std::string precision_warning(const Json& record, const std::vector<std::string>& sections,
                              at::Device device);

}  // namespace marginalia
