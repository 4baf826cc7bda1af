// Built by another compiler.
#include <marginalia/build_stamp.h>
#include <marginalia/plugin.h>

MARGINALIA_PUT_STAMP("headers " MARGINALIA_HEADERS_VERSION " " MARGINALIA_HEADERS_DIGEST
                     ", Turbo C++ 3.0");
extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = {
    "other_build", "0.0", nullptr};
