// The build stamp of a plugin: marginalia_add_plugin compiles this file into each. In a file of its
// own, so that a header that changed does not compile anew who does not include it.
#include <marginalia/build_stamp.h>

MARGINALIA_PUT_STAMP(MARGINALIA_BUILD_STAMP);
