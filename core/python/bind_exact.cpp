#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>

#include "bind.h"
#include "host/experiment/experiment.h"
#include "host/experiment/settings.h"
#include "trained.h"

namespace marginalia::python {
namespace {

namespace fs = std::filesystem;

/// What exact answers there are of an energy.
class Exact {
 public:
  Exact(std::shared_ptr<Host> host, const Spec& spec, const std::vector<std::string>& settings)
      : host_(std::move(host)) {
    const py::gil_scoped_release free;
    const auto& registry = host_->plugins().registry();
    energy_ = Experiment::make_energy(with_settings(spec, settings, registry), registry);
    answers_.emplace(*energy_);
  }

  py::dict space() const { return to_python(energy_->space()); }
  std::string method() const {
    const py::gil_scoped_release free;
    return oracle()->method();
  }
  double log_z() const {
    const py::gil_scoped_release free;
    return oracle()->log_z();
  }
  py::array log_marginal(const Levels& x, const std::optional<Levels>& given) const {
    const auto partial = as_tensor(x), known = given ? as_tensor(*given) : Tensor();
    const auto ask = [&] {
      const py::gil_scoped_release free;
      energy_->space().check(partial, true, "x");
      return exact_log_marginal(*oracle(), partial, known);
    };
    return as_array(ask());
  }
  py::array single_marginals(const Levels& state) const {
    const auto known = as_tensor(state);
    const auto ask = [&] {
      const py::gil_scoped_release free;
      return oracle()->single_marginals(known);
    };
    return as_array(ask());
  }
  py::array log_density(const Levels& x) const {
    const auto states = as_tensor(x);
    const auto ask = [&] {
      const py::gil_scoped_release free;
      return energy_->log_density(states);
    };
    return as_array(ask());
  }

 private:
  Offer<Oracle> oracle() const {
    const auto offer = answers_->oracle();
    if (!offer)
      throw SpecError(fmt::format("{}: no exact answer: {}", energy_->label(), offer.reason));
    return offer;
  }
  std::shared_ptr<Host> host_;
  std::shared_ptr<Energy> energy_;
  std::optional<ExactAnswers> answers_;
};

}  // namespace

void bind_exact(py::module_& module) {
  py::class_<Exact>(module, "Exact")
      .def(py::init([](std::shared_ptr<Host> host, const std::string& text, const std::string& name,
                       const fs::path& beside, const std::vector<std::string>& settings) {
        const auto spec = host->spec(text, name, beside);
        return std::make_unique<Exact>(std::move(host), spec, settings);
      }))
      .def("space", &Exact::space)
      .def("method", &Exact::method)
      .def("log_z", &Exact::log_z)
      .def("log_marginal", &Exact::log_marginal, py::arg("x"), py::arg("given"))
      .def("single_marginals", &Exact::single_marginals)
      .def("log_density", &Exact::log_density);
}

}  // namespace marginalia::python
