// Fails with something that is not a std::exception.
#include <marginalia/plugin.h>

MARGINALIA_MANIFEST([](marginalia::Registry&) { throw 42; });
