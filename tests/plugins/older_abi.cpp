// Built against the headers of another time.
#include <marginalia/plugin.h>

extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = {
    0, marginalia::kBuildStamp, "older_abi", "0.0", nullptr};
