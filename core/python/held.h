#pragma once

#include <utility>

#include <pybind11/pybind11.h>

namespace marginalia::python {

/// An object of Python that the host keeps: let go with the GIL held, or left to a process that
/// ends.
class Held {
 public:
  Held(pybind11::object object) : object_(std::move(object)) {}
  ~Held();
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  const pybind11::object& operator*() const { return object_; }
  const pybind11::object* operator->() const { return &object_; }

 private:
  pybind11::object object_;
};

// The host says of a function of the user's that raised no more than that, as text. What it raised
// is kept beside, so that it comes out as it was, with its traceback.

void keep_raised(const pybind11::error_already_set& error);
/// Raises again what was kept, where `message` tells of it.  -> whether it does.
bool raise_kept(const char* message);
void forget_raised();

/// Calls a function of the user's, with the GIL held.
template <class... Arguments>
pybind11::object call_kept(const pybind11::object& function, Arguments&&... arguments) {
  try {
    return function(std::forward<Arguments>(arguments)...);
  } catch (const pybind11::error_already_set& error) {
    keep_raised(error);
    throw;
  }
}

}  // namespace marginalia::python
