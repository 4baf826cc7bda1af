#pragma once

#include <marginalia/python.h>

namespace marginalia::python {

/// The module of Python in this process. Where there is no interpreter yet, libpython is opened for
/// all to see, as packages expect it, and started: as the Python of $VIRTUAL_ENV, where that is
/// set. Throws SpecError, with the remedy, where there is no libpython or no module.
const PythonParts& parts();

}  // namespace marginalia::python
