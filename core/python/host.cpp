#include "host.h"

#include <mutex>
#include <utility>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

namespace marginalia::python {

namespace fs = std::filesystem;
namespace py = pybind11;

Host::Host(const std::vector<fs::path>& folders, fs::path data) : data_(std::move(data)) {
  for (const auto& folder : folders)
    plugins_.load_folder(folder, false);
}

Environment Host::environment(const std::string& device, int threads) const {
  return {plugins_.registry(), plugins_.loaded(), data_, device, threads, ""};
}

Spec Host::spec(const std::string& text, const std::string& name, const fs::path& beside) const {
  return Spec::from_text(text, name, {beside, data_, default_cache_directory()});
}

BorrowedThreads::BorrowedThreads(int count)
    : before_(at::get_num_threads()), held_(count > 0 ? count : usable_processors()) {}

BorrowedThreads::~BorrowedThreads() {
  if (at::get_num_threads() != before_) at::set_num_threads(before_);
}

namespace {

std::atomic<std::atomic<bool>*> interrupted{nullptr};

void on_interrupt(int) {
  if (auto* const flag = interrupted.load()) *flag = true;
}

}  // namespace

Interrupts::Interrupts(std::atomic<bool>& flag) {
  const auto threading = py::module_::import("threading");
  if (!threading.attr("current_thread")().is(threading.attr("main_thread")()) || interrupted)
    return;
  interrupted = &flag;
  struct sigaction ours {};
  ours.sa_handler = on_interrupt;
  taken_ = sigaction(SIGINT, &ours, &before_) == 0;
}

Interrupts::~Interrupts() {
  if (!taken_) return;
  sigaction(SIGINT, &before_, nullptr);
  interrupted = nullptr;
}

KeptGenerator::KeptGenerator() : state_(at::detail::getDefaultCPUGenerator().get_state()) {}

KeptGenerator::~KeptGenerator() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state_);
}

template <class Call>
void Told::guarded(Call call) {
  const py::gil_scoped_acquire held;
  if (raised_) return;
  try {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    call();
  } catch (const py::error_already_set&) {
    raised_ = std::current_exception();
    stop_ = true;
  }
}

Hooks Told::hooks() {
  return {.stop = &stop_,
          .say =
              [this](const std::string& text) {
                guarded([&] {
                  if (!say_.is_none()) say_(text);
                });
              },
          .warn =
              [this](const std::string& text) {
                guarded([&] {
                  if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1) != 0)
                    throw py::error_already_set();
                });
              },
          .progress =
              [this](const TrainingState& state, const TrainingParams&, double share, double loss) {
                guarded([&] {
                  if (!progress_.is_none()) progress_(state.step, share, loss);
                });
              }};
}

void Told::rethrow() {
  const bool stopped = stop_.exchange(false);
  if (const auto raised = std::exchange(raised_, nullptr)) std::rethrow_exception(raised);
  if (!stopped) return;
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  throw py::error_already_set();
}

py::object to_python(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return py::bool_(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return py::int_(json.get<std::int64_t>());
    case Json::value_t::number_float:
      return py::float_(json.get<double>());
    case Json::value_t::string:
      return py::str(json.get<std::string>());
    case Json::value_t::array: {
      py::list list;
      for (const auto& one : json)
        list.append(to_python(one));
      return list;
    }
    case Json::value_t::object: {
      py::dict dict;
      for (const auto& [key, one] : json.items())
        dict[py::str(key)] = to_python(one);
      return dict;
    }
    default:
      return py::none();
  }
}

}  // namespace marginalia::python
