/// \file
/// The module marginalia._host. Its arrays hold levels, -1 where a variable is unknown; names,
/// types and checks of what users say are in package/.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/inference/enumeration.h>

#include "host/execution/run.h"
#include "host/experiment/settings.h"
#include "python_energy.h"
#include "records/plugins/plugin_folders.h"
#include "trained.h"

namespace marginalia::python {
namespace {

namespace fs = std::filesystem;

/// Exceptions of the host: Error, and SpecError, which is a ValueError as well.
void bind_errors(py::module_& module) {
  // Of those registered the last is asked first.
  py::register_exception_translator([](std::exception_ptr raised) {
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
  const auto error = py::register_exception<Error>(module, "Error", PyExc_RuntimeError);
  const auto bases = py::make_tuple(error, py::reinterpret_borrow<py::object>(PyExc_ValueError));
  const auto spec = py::register_exception<SpecError>(module, "SpecError", bases);
  py::register_exception<ImpossibleGiven>(module, "ImpossibleGiven", spec);
  // An energy that failed as a function of Python raised: what that raised, with its traceback.
  py::register_exception_translator([](std::exception_ptr raised) {
    try {
      if (raised) std::rethrow_exception(raised);
    } catch (const EnergyFailure&) {
      const auto own = take_raised();
      if (!own) throw;
      try {
        std::rethrow_exception(own);
      } catch (py::error_already_set& e) {
        e.restore();
      }
    }
  });
}

/// The folder above this module's library that plugins are below, built or installed.
fs::path root_of(const fs::path& module_file) {
  constexpr int kDeepest = 5;  // PREFIX/lib/python3/dist-packages/marginalia/_host.so
  auto root = module_file.parent_path();
  for (int up = 0; up < kDeepest; ++up, root = root.parent_path())
    for (const auto& folder : plugin_folders_below(root))
      if (fs::is_directory(folder)) return root;
  return module_file.parent_path();
}

std::vector<fs::path> plugin_folders(const fs::path& module_file,
                                     const std::vector<fs::path>& more) {
  std::vector<PluginFolder> folders;
  for (const auto& folder : default_plugin_folders(root_of(module_file)))
    folders.push_back({folder, false});
  for (const auto& folder : more)
    folders.push_back({folder, true});
  std::vector<fs::path> there;
  for (const auto& folder : existing(folders))
    there.push_back(folder.path);
  return there;
}

py::dict told_of(const RunResult& result) {
  py::dict told;
  told["folder"] = result.folder.string();
  told["finished"] = result.outcome != Outcome::kInterrupted;
  told["step"] = result.step;
  return told;
}

/// Calls `work` with hooks, without the GIL.
template <class Work>
py::dict lived(int threads, const py::object& say, const py::object& progress, Work work) {
  Told told(say, progress);
  RunResult result;
  {
    const py::gil_scoped_release free;
    const BorrowedThreads borrowed(threads);
    result = work(told.hooks());
  }
  told.rethrow();
  return told_of(result);
}

/// What exact answers there are of an energy.
class Exact {
 public:
  Exact(std::shared_ptr<Host> host, const Spec& spec, const std::vector<std::string>& settings)
      : host_(std::move(host)),
        energy_(Experiment::make_energy(with_settings(spec, settings, host_->plugins().registry()),
                                        host_->plugins().registry())),
        answers_(*energy_) {}

  py::dict space() const { return to_python(energy_->space()); }
  std::string method() const { return oracle()->method(); }
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
    const auto offer = answers_.oracle();
    if (!offer)
      throw SpecError(fmt::format("{}: no exact answer: {}", energy_->label(), offer.reason));
    return offer;
  }
  std::shared_ptr<Host> host_;
  std::shared_ptr<Energy> energy_;
  ExactAnswers answers_;
};

void bind_trained(py::module_& module) {
  py::class_<Trained>(module, "Trained")
      .def(py::init<std::shared_ptr<Host>, const std::string&, const std::string&,
                    const std::string&, int>())
      .def(
          "answer",
          [](Trained& run, const Levels& partial, const std::optional<Levels>& given,
             const std::string& kind, const std::string& estimator, std::int64_t orders,
             const std::string& order, std::int64_t steps, std::uint64_t seed) {
            return run.answer(partial, given, {kind, estimator, order, orders, steps, seed});
          },
          py::arg("partial"), py::arg("given"), py::arg("kind"), py::arg("estimator") = "",
          py::arg("orders") = 5, py::arg("order") = "random", py::arg("steps") = 0,
          py::arg("seed") = 0)
      .def_property_readonly("folder", &Trained::folder)
      .def_property_readonly("step", &Trained::step)
      .def_property_readonly("record", &Trained::record)
      .def("space", &Trained::space)
      .def("capabilities", &Trained::capabilities)
      .def("text_of", &Trained::text_of)
      .def("state_of", &Trained::state_of);
}

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

void bind_host(py::module_& module) {
  py::class_<Host, std::shared_ptr<Host>>(module, "Host")
      .def(py::init([](const fs::path& module_file, const std::vector<fs::path>& more,
                       const std::optional<fs::path>& data) {
             return std::make_shared<Host>(plugin_folders(module_file, more),
                                           data ? *data : default_data_directory());
           }),
           py::arg("module_file"), py::arg("plugins"), py::arg("data"))
      .def_property_readonly("refused", [](const Host& host) { return host.plugins().refused(); })
      .def_property_readonly("plugins",
                             [](const Host& host) {
                               std::vector<std::string> names;
                               for (const auto& plugin : host.plugins().loaded())
                                 names.push_back(plugin.name);
                               return names;
                             })
      .def("check",
           [](const Host& host, const std::string& text, const std::string& name,
              const fs::path& beside, const std::vector<std::string>& settings) {
             const auto& registry = host.plugins().registry();
             Faults faults;
             const auto resolved =
                 Experiment::check(with_settings(host.spec(text, name, beside), settings, registry),
                                   registry, faults);
             faults.throw_if_any();
             return to_python(resolved);
           })
      .def("run",
           [](const Host& host, const std::string& text, const std::string& name,
              const fs::path& beside, const std::vector<std::string>& settings,
              const fs::path& folder, bool force, const std::string& device, int threads,
              const py::object& say, const py::object& progress) {
             const auto spec =
                 with_settings(host.spec(text, name, beside), settings, host.plugins().registry());
             return lived(threads, say, progress, [&](const Hooks& hooks) {
               return run({spec, folder, force, "", settings}, host.environment(device, threads),
                          hooks);
             });
           })
      .def("resume",
           [](const Host& host, const fs::path& folder, const std::string& device, int threads,
              const py::object& say, const py::object& progress) {
             return lived(threads, say, progress, [&](const Hooks& hooks) {
               return resume({folder, ""}, host.environment(device, threads), hooks);
             });
           })
      .def("measure", [](const Host& host, const fs::path& folder,
                         const std::vector<std::string>& metrics, int threads) {
        Told told{py::none(), py::none()};
        Json measured;
        {
          const py::gil_scoped_release free;
          const BorrowedThreads borrowed(threads);
          measured = measure({folder, "", metrics}, host.environment("", threads), told.hooks());
        }
        told.rethrow();
        return to_python(measured);
      });
}

}  // namespace
}  // namespace marginalia::python

PYBIND11_MODULE(_host, module) {
  using namespace marginalia::python;
  bind_errors(module);
  bind_host(module);
  bind_trained(module);
  bind_exact(module);
  module.def("define_density", [](const std::string& name, const py::function& log_density,
                                  const std::vector<std::int64_t>& cardinalities,
                                  const std::vector<std::int64_t>& shape) {
    define_density(name, {log_density, cardinalities, shape});
  });
  // Functions of Python may not outlive the interpreter.
  py::module_::import("atexit").attr("register")(py::cpp_function(&forget_densities));
}
