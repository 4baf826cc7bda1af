/// \file
/// The module marginalia._host. Its arrays hold levels, -1 where a variable is unknown; names,
/// types and checks of what users say are in package/.
#include "bind.h"
#include "held.h"

PYBIND11_MODULE(_host, module) {
  using namespace marginalia::python;
  bind_errors(module);
  bind_host(module);
  bind_training(module);
  bind_trained(module);
  bind_exact(module);
  // What a function of Python raised may not outlive the interpreter.
  namespace py = pybind11;
  py::module_::import("atexit").attr("register")(py::cpp_function(&forget_raised));
}
