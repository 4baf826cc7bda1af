// Calls what no library has; linked without -z defs, so that the loader finds out.
#include <marginalia/plugin.h>

extern "C" void not_defined_anywhere();

MARGINALIA_MANIFEST([](marginalia::Registry&) { not_defined_anywhere(); });
