#pragma once

#include <string>
#include <vector>

#include <marginalia/registry.h>
#include <marginalia/spec.h>

namespace marginalia {

/// The spec with `key=value` settings applied, as Spec::with applies them, each value read by the
/// type of its parameter: what a text is set to stays as it is written, "1" and "1.0" as well.
Spec with_settings(const Spec& spec, const std::vector<std::string>& settings,
                   const Registry& registry);

}  // namespace marginalia
