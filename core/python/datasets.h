#pragma once

#include <memory>

#include <pybind11/pybind11.h>

#include <marginalia/dataset.h>

namespace marginalia::python {

/// The dataset that an object of Python is: one with `cardinalities`, `shape`, `alphabet`, `names`
/// and `splits`, three arrays int64 [N, D] to learn from, to validate by and to test on, -1 where
/// nothing was observed. Called with the GIL held.
std::shared_ptr<Dataset> make_dataset(const pybind11::object& object);

}  // namespace marginalia::python
