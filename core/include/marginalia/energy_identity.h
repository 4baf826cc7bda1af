#pragma once

#include <nlohmann/json.hpp>

#include <marginalia/energy.h>
#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

/// What an energy is, as a key to what is kept of it: {"energy": its resolved spec with the
/// contents of its files in the place of their names (SHA-256), "log_density": log f at 16 fixed
/// states, "plugins": the versions of those that make it}.
MARGINALIA_API Json identity_of(const Energy& energy, const Json& resolved, const DataPaths& paths,
                                const Registry& registry);

}  // namespace marginalia
