#pragma once

#include <exception>
#include <memory>

#include <pybind11/pybind11.h>

#include <marginalia/energy.h>

namespace marginalia::python {

/// The energy that an object of Python is: one with `cardinalities`, `shape`, and either `factors`,
/// a list of (scope, table of log values), or `log_density`, a function of int64 [B, D] that
/// returns log f, [B]; then perhaps `local`, a function of full states, int64 [B, D], that returns
/// log f at every single change, [B, D, K]. Called with the GIL held; throws SpecError.
std::shared_ptr<Energy> make_energy(const pybind11::object& object);

}  // namespace marginalia::python
