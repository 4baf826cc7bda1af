/// \file
/// What plugins reach this module by: the symbol of kPythonParts.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <marginalia/build_stamp.h>
#include <marginalia/error.h>
#include <marginalia/python.h>

#include "datasets.h"
#include "energies.h"
#include "families.h"

namespace marginalia::python {
namespace {

namespace py = pybind11;

/// What Python makes of a source. What it raises is a fault of the spec, told with its traceback.
template <class Make>
auto made_of(const PythonSource& source, const char* kind, const StateSpace* space, Make make) {
  const py::gil_scoped_acquire held;
  try {
    py::dict offered;
    if (space) offered["cardinalities"] = space->cardinalities;
    const auto find = py::module_::import("marginalia._sources").attr("find");
    return make(find(source.file.string(), source.name, source.parameters, kind, offered));
  } catch (const py::error_already_set& e) {
    throw SpecError(e.what());
  }
}

std::shared_ptr<Energy> energy(const PythonSource& source) {
  return made_of(source, "energy", nullptr, make_energy);
}
std::shared_ptr<Dataset> dataset(const PythonSource& source) {
  return made_of(source, "dataset", nullptr, make_dataset);
}
std::shared_ptr<Family> family(const PythonSource& source, const FamilyContext& context) {
  return made_of(source, "family", &context.space,
                 [&](const py::object& object) { return make_family(object, context); });
}

}  // namespace
}  // namespace marginalia::python

extern "C" __attribute__((visibility("default")))
const marginalia::PythonParts marginalia_python_parts_2{
    marginalia::kBuildStamp, marginalia::python::energy, marginalia::python::dataset,
    marginalia::python::family};
