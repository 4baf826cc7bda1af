#include "held.h"

#include <optional>
#include <string>

namespace marginalia::python {
namespace {

namespace py = pybind11;

struct Raised {
  py::object type, value, trace;
  std::string text;  // "KeyError: 'gone'", as messages of the host have it
};

/// Touched by whoever holds the GIL. Never destroyed: the interpreter may be gone by then.
std::optional<Raised>& kept() {
  static auto* const last = new std::optional<Raised>;
  return *last;
}

}  // namespace

Held::~Held() {
  if (!Py_IsInitialized()) {
    object_.release();
    return;
  }
  const py::gil_scoped_acquire held;
  object_ = py::object();
}

void keep_raised(const py::error_already_set& error) {
  const std::string text = error.what();
  kept() = Raised{error.type(), error.value(), error.trace(), text.substr(0, text.find('\n'))};
}

bool raise_kept(const char* message) {
  if (!kept() || std::string(message).find(kept()->text) == std::string::npos) return false;
  const auto raised = std::exchange(kept(), std::nullopt);
  PyErr_Restore(py::object(raised->type).release().ptr(), py::object(raised->value).release().ptr(),
                py::object(raised->trace).release().ptr());
  return true;
}

void forget_raised() {
  kept().reset();
}

}  // namespace marginalia::python
