// Fails with something that is no std::exception.
#include <marginalia/plugin.h>

MARGINALIA_MANIFEST([](marginalia::Registry&) { throw 42; });
