#pragma once

#include <memory>

#include <pybind11/pybind11.h>

#include <marginalia/family.h>

namespace marginalia::python {

/// The family that an object of Python is, which was trained elsewhere and is only asked: one with
/// `sample(n, seed)`, states int64 [n, D]; `log_prob(x)` of full states, float64 [n]; and
/// `conditionals(x)`, log p(x_i = k | x_S) of partial states with -1 where unknown, [n, D, K]; each
/// may be None. Called with the GIL held.
std::shared_ptr<Family> make_family(const pybind11::object& object, const FamilyContext& context);

}  // namespace marginalia::python
