#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>

#include "bind.h"
#include "host.h"
#include "host/execution/run.h"
#include "host/execution/study_runner.h"
#include "host/experiment/settings.h"
#include "records/study/study.h"

namespace marginalia::python {
namespace {

namespace fs = std::filesystem;
namespace py = pybind11;

py::dict told_of(const RunResult& result) {
  py::dict told;
  told["folder"] = result.folder.string();
  told["finished"] = result.outcome != Outcome::kInterrupted;
  told["step"] = result.step;
  return told;
}

/// Calls `work` without the GIL. What Python raised meanwhile comes before what the host says of
/// it.
template <class Work>
auto freely(Told& told, int threads, Work work) {
  const Interrupts interrupts(told.stop());
  auto result = [&] {
    try {
      const py::gil_scoped_release free;
      const BorrowedThreads borrowed(threads);
      const KeptGenerator kept;
      return work();
    } catch (const std::exception&) {
      told.rethrow();
      throw;
    }
  }();
  told.rethrow();
  return result;
}

template <class Work>
auto lived(int threads, const py::object& say, const py::object& progress, Work work) {
  Told told(say, progress);
  return freely(told, threads, [&] { return work(told.hooks()); });
}

/// What `run` and `train` are given alike.
struct NewRun {
  std::string text, name;
  fs::path beside;
  std::vector<std::string> settings;
  fs::path folder;
  bool force;

  RunRequest request(const Host& host) const {
    const auto spec =
        with_settings(host.spec(text, name, beside), settings, host.plugins().registry());
    return {spec, folder, force, "", settings};
  }
};

/// Training whose loop is Python's.
class Loop {
 public:
  Loop(std::shared_ptr<Host> host, const NewRun& what, const std::string& device, int threads,
       const py::object& say)
      : host_(std::move(host)), threads_(threads), told_(say, py::none()) {
    const auto request = what.request(*host_);
    run_ = freely(told_, threads_, [&] {
      return run_in_steps(request, host_->environment(device, threads), told_.hooks());
    });
  }
  bool advance() {
    return freely(told_, threads_, [&] { return run_->advance(); });
  }
  py::dict state() const {
    const auto& loop = run_->loop();
    py::dict told;
    told["step"] = loop.state().step;
    told["loss"] = loop.loss();
    told["share"] = loop.progress();
    told["seconds"] = loop.state().seconds;
    told["passes"] = loop.state().passes;
    told["energy_evaluations"] = loop.state().energy_evaluations;
    return told;
  }
  /// Lets go of the run, also where it fails.
  py::dict end() {
    const auto run = std::move(run_);
    return told_of(freely(told_, threads_, [&] { return run->end(); }));
  }
  void leave() { run_.reset(); }

 private:
  std::shared_ptr<Host> host_;
  int threads_;
  Told told_;
  std::unique_ptr<SteppedRun> run_;
};

/// Whether a component, or one within it, is of Python.
bool is_of_python(const Json& json) {
  if (json.is_object() && json.value("type", Json()) == "python") return true;
  return json.is_structured() &&
         std::any_of(json.begin(), json.end(), [](const Json& part) { return is_of_python(part); });
}

/// Functions of Python are called from the thread that asked, which experiments at a time are not.
void refuse_python(const Study& study) {
  for (const auto& experiment : study.experiments)
    for (const auto& [kind, component] : experiment.spec.items())
      if (is_of_python(component))
        throw SpecError(fmt::format(
            "jobs: {}'s {} is of Python, which is called by one thread alone: jobs must be 1, or "
            "use the program, whose jobs are processes (marginalia study FILE --jobs N)",
            experiment.name, kind));
}

}  // namespace

void bind_training(py::module_& module) {
  py::class_<NewRun>(module, "NewRun")
      .def(
          py::init([](const std::string& text, const std::string& name, const fs::path& beside,
                      const std::vector<std::string>& settings, const fs::path& folder,
                      bool force) { return NewRun{text, name, beside, settings, folder, force}; }));
  py::class_<Loop>(module, "Loop")
      .def(py::init<std::shared_ptr<Host>, const NewRun&, const std::string&, int,
                    const py::object&>())
      .def("advance", &Loop::advance)
      .def("state", &Loop::state)
      .def("end", &Loop::end)
      .def("leave", &Loop::leave);
  module.def("run", [](const Host& host, const NewRun& what, const std::string& device, int threads,
                       const py::object& say, const py::object& progress) {
    const auto request = what.request(host);
    return told_of(lived(threads, say, progress, [&](const Hooks& hooks) {
      return run(request, host.environment(device, threads), hooks);
    }));
  });
  module.def("resume", [](const Host& host, const fs::path& folder, const std::string& device,
                          int threads, const py::object& say, const py::object& progress) {
    return told_of(lived(threads, say, progress, [&](const Hooks& hooks) {
      return resume({folder, ""}, host.environment(device, threads), hooks);
    }));
  });
  module.def("measure", [](const Host& host, const fs::path& folder,
                           const std::vector<std::string>& metrics, const std::string& checkpoint,
                           const std::string& device, int threads) {
    return to_python(lived(threads, py::none(), py::none(), [&](const Hooks& hooks) {
      return measure({folder, checkpoint, metrics}, host.environment(device, threads), hooks);
    }));
  });
  module.def("study", [](const Host& host, const fs::path& manifest, const fs::path& folder,
                         const std::vector<std::string>& only, int at_once, int threads,
                         const py::object& say) {
    const auto result = lived(threads, say, py::none(), [&](const Hooks& hooks) {
      const auto environment = host.environment("", threads);
      StudyRunner runner({manifest, folder, "auto", only, at_once}, environment, hooks);
      if (at_once > 1) refuse_python(runner.study());
      return runner.run(in_this_process(environment, hooks));
    });
    py::dict told;
    told["finished"] = result.finished;
    told["failed"] = result.failed;
    told["complete"] = result.complete;
    return told;
  });
}

}  // namespace marginalia::python
