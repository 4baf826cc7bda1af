// Built by another compiler.
#include <marginalia/plugin.h>

extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = {
    marginalia::kPluginAbi, "Turbo C++ 3.0", "other_build", "0.0", nullptr};
