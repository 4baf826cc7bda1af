#pragma once

#include <nlohmann/json.hpp>

#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

/// The spec in today's format: where its "marginalia" is of an older one, each component is handed
/// what it was given, and says it anew (`T::upgrade`). What was not given stays so; comments are
/// lost. Throws SpecError, with the place, for what today's format has no words for.
Spec upgraded(const Spec& spec, const Registry& registry);

/// Whether a spec, or what was recorded of one, is of an older format.
bool is_of_older_format(const Json& spec);

}  // namespace marginalia
