#include "python_energy.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/error.h>

#include "arrays.h"

namespace marginalia::python {
namespace {

using Densities = std::map<std::string, std::shared_ptr<const PythonDensity>>;

/// Touched by whoever holds the GIL.
Densities& densities() {
  static Densities all;
  return all;
}

std::exception_ptr& raised() {
  static std::exception_ptr last;
  return last;
}

}  // namespace

std::exception_ptr take_raised() {
  return std::exchange(raised(), nullptr);
}

void define_density(const std::string& name, PythonDensity density) {
  densities()[name] = std::make_shared<const PythonDensity>(std::move(density));
}

void forget_densities() {
  raised() = nullptr;
  densities().clear();
}

PythonEnergy::PythonEnergy(const Params& params) : name_(params.function) {
  const py::gil_scoped_acquire held;
  const auto found = densities().find(name_);
  if (found == densities().end())
    throw SpecError(fmt::format("no function \"{}\" is defined in this process; decorate it with "
                                "marginalia.log_density before",
                                name_));
  density_ = found->second;
  space_.cardinalities = density_->cardinalities;
  space_.shape = density_->shape;
}

Tensor PythonEnergy::compute_log_density(const Tensor& x) const {
  const py::gil_scoped_acquire held;
  const auto states = x.to(at::kCPU).contiguous();
  using Values = py::array_t<double, py::array::c_style | py::array::forcecast>;
  raised() = nullptr;
  py::object returned;
  try {
    returned = density_->log_density(as_array(states));
  } catch (const py::error_already_set&) {
    raised() = std::current_exception();
    throw;
  }
  const auto values = Values::ensure(returned);
  if (!values || values.ndim() != 1 || values.shape(0) != x.size(0)) {
    PyErr_Clear();
    throw EnergyFailure(
        fmt::format("the function \"{}\" must return {} numbers, log f of each state, not {}",
                    name_, x.size(0), py::repr(returned).cast<std::string>().substr(0, 80)));
  }
  auto log_f = torch::empty({x.size(0)}, torch::kDouble);
  std::copy(values.data(), values.data() + values.size(), log_f.data_ptr<double>());
  return log_f.to(x.device());
}

}  // namespace marginalia::python
