#pragma once

#include <pybind11/pybind11.h>

/// The parts of the module marginalia._host, each of which adds its classes.
namespace marginalia::python {

void bind_errors(pybind11::module_& module);
void bind_host(pybind11::module_& module);
void bind_exact(pybind11::module_& module);
void bind_training(pybind11::module_& module);
void bind_trained(pybind11::module_& module);

}  // namespace marginalia::python
