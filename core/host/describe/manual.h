#pragma once

#include <string>

#include <marginalia/registry.h>
#include <marginalia/spec.h>

#include "host/plugins/plugin_host.h"

namespace marginalia {

/// One component as a page: summary, formula, parameters, source. Markdown.
std::string describe(const Description& component);

/// The page of every kind that is registered: file name to text, what docs/reference/ is made of.
std::map<std::string, std::string> reference(const Registry& registry);

/// All that `list`, `describe` and `data list` tell of a host's plugins: the content of a Catalogue
/// (records/catalogue.h).
Json describe_all(const PluginHost& host);

/// JSON Schema of an experiment spec, from the same declarations, for editors.
std::string spec_schema(const Registry& registry);

}  // namespace marginalia
