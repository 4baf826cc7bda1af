#include <exception>

#include <marginalia/error.h>

#include "bind.h"
#include "held.h"

namespace marginalia::python {

namespace py = pybind11;

/// Exceptions of the host: Error, and SpecError, which is a ValueError as well.
void bind_errors(py::module_& module) {
  // Of those registered the last is asked first.
  py::register_local_exception_translator([](std::exception_ptr raised) {
    try {
      if (raised) std::rethrow_exception(raised);
    } catch (const py::error_already_set&) {
      throw;
    } catch (const py::builtin_exception&) {
      throw;
    } catch (const std::exception& e) {
      PyErr_SetString(PyExc_RuntimeError, describe_error(e).c_str());
    }
  });
  const auto error = py::register_local_exception<Error>(module, "Error", PyExc_RuntimeError);
  const auto bases = py::make_tuple(error, py::reinterpret_borrow<py::object>(PyExc_ValueError));
  const auto spec = py::register_local_exception<SpecError>(module, "SpecError", bases);
  py::register_local_exception<ImpossibleGiven>(module, "ImpossibleGiven", spec);
  // Where a function of the user's failed: what that raised, with its traceback.
  py::register_local_exception_translator([](std::exception_ptr raised) {
    try {
      if (raised) std::rethrow_exception(raised);
    } catch (const Error& failed) {
      if (!raise_kept(failed.what())) throw;
    }
  });
}

}  // namespace marginalia::python
