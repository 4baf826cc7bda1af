#pragma once

#include <string>

#include <marginalia/api.h>
#include <marginalia/registry.h>

namespace marginalia {

/// One component as a page: summary, formula, parameters, source. Markdown.
MARGINALIA_API std::string describe(const Description& component);

/// The page of every kind that is registered: file name to text, what docs/reference/ is made of.
MARGINALIA_API std::map<std::string, std::string> reference(const Registry& registry);

/// JSON Schema of an experiment spec, from the same declarations, for editors.
MARGINALIA_API std::string spec_schema(const Registry& registry);

}  // namespace marginalia
