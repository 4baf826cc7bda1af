#pragma once

#include <cstdint>

#include <pybind11/numpy.h>

#include <marginalia/tensor.h>

/// Arrays of numpy as tensors and back, without copies: each shares the other's memory.
namespace marginalia::python {

namespace py = pybind11;

/// Rows of levels, C order; what is of another type or order is converted by numpy.
using Levels = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;

/// Numbers, likewise.
using Numbers = py::array_t<double, py::array::c_style | py::array::forcecast>;

/// int64 of the array's shape; the array must outlive it.
Tensor as_tensor(const Levels& levels);
/// float64 or int64 of the tensor's shape, which the array keeps.
py::array as_array(const Tensor& tensor);
/// The same of a copy: what a function of the user's may keep, and write into.
py::array as_own_array(const Tensor& tensor);

}  // namespace marginalia::python
