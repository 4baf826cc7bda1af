// Built with the headers of another version.
#include <marginalia/build_stamp.h>
#include <marginalia/plugin.h>

MARGINALIA_PUT_STAMP("headers 0.0.9 0123456789abcdef, another compiler");
extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = {
    "older_headers", "0.0", nullptr};
