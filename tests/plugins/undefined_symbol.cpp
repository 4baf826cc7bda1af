// Calls what no library has; linked without -z defs, so that the loader finds out.
#include <marginalia/plugin.h>

extern "C" void not_defined_anywhere();

extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = {
    marginalia::kPluginAbi, marginalia::kBuildStamp, "undefined_symbol", "0.0",
    [](marginalia::Registry&) { not_defined_anywhere(); }};
