// Fails with something that is no std::exception.
#include <marginalia/plugin.h>

extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = {
    marginalia::kPluginAbi, marginalia::kBuildStamp, "throws_a_number", "0.0",
    [](marginalia::Registry&) { throw 42; }};
