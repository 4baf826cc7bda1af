#include "interpreter.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/build_stamp.h>
#include <marginalia/error.h>

namespace marginalia::python {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "libpython" MARGINALIA_PYTHON_VERSION ".so.1.0";

struct Object;  // PyObject

/// What is needed of Python to get at the module, by name: this plugin is loaded where there is
/// none.
class Api {
 public:
  Api() {
    if (dlsym(RTLD_DEFAULT, "Py_IsInitialized")) return;  // in a process of Python
    if (*MARGINALIA_PYTHON_VERSION == 0)
      throw SpecError("this program was built without Python: build it where python3-dev, "
                      "python3-numpy and pybind11-dev are");
    library_ = dlopen(kLibrary, RTLD_NOW | RTLD_GLOBAL);
    if (!library_)
      throw SpecError(
          fmt::format("needs {} ({}); on Debian: apt install libpython" MARGINALIA_PYTHON_VERSION,
                      kLibrary, dlerror()));
  }
  template <class Function>
  Function* find(const char* name) const {
    auto* const symbol = dlsym(library_ ? library_ : RTLD_DEFAULT, name);
    if (!symbol) throw SpecError(fmt::format("{} has no {}", kLibrary, name));
    return reinterpret_cast<Function*>(symbol);
  }

 private:
  void* library_ = nullptr;
};

#define MARGINALIA_OF_PYTHON(name, ...) auto* const name = api.find<__VA_ARGS__>(#name)

/// $VIRTUAL_ENV/bin/python3, by which Python finds that environment's packages; empty: none.
std::string chosen_python() {
  const char* const environment = std::getenv("VIRTUAL_ENV");
  if (!environment || !*environment) return "";
  const auto python = fs::path(environment) / "bin" / "python3";
  if (!fs::exists(python))
    throw SpecError(fmt::format("VIRTUAL_ENV is {}, where there is no bin/python3", environment));
  return python.string();
}

/// Starts the interpreter of this process, and lets go of its lock.
void start(const Api& api) {
  MARGINALIA_OF_PYTHON(Py_DecodeLocale, wchar_t * (const char*, std::size_t*));
  MARGINALIA_OF_PYTHON(Py_SetProgramName, void(const wchar_t*));
  MARGINALIA_OF_PYTHON(Py_InitializeEx, void(int));
  MARGINALIA_OF_PYTHON(PyEval_SaveThread, void*());
  if (const auto python = chosen_python(); !python.empty())
    Py_SetProgramName(Py_DecodeLocale(python.c_str(), nullptr));
  Py_InitializeEx(0);  // signals stay the program's
  PyEval_SaveThread();
}

/// Where the package lies beside this plugin: built, or installed.
std::string folder_of_package() {
  Dl_info here;
  dladdr(reinterpret_cast<void*>(&chosen_python), &here);
  const auto plugins = fs::weakly_canonical(here.dli_fname).parent_path();
  for (const char* const below :
       {"../python", "../../../python3/dist-packages", "../../python3/dist-packages",
        "../../python" MARGINALIA_PYTHON_VERSION "/site-packages"}) {
    const auto folder = (plugins / below).lexically_normal();
    if (fs::exists(folder / "marginalia" / "__init__.py")) return folder.string();
  }
  return "";
}

/// Python's text of a string.
std::string quoted(const std::string& text) {
  std::string code = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') code += '\\';
    code += c;
  }
  return code + "'";
}

/// Imports the module.  -> the file of its library.
std::string import_module(const Api& api) {
  MARGINALIA_OF_PYTHON(PyGILState_Ensure, int());
  MARGINALIA_OF_PYTHON(PyGILState_Release, void(int));
  MARGINALIA_OF_PYTHON(PyRun_SimpleString, int(const char*));
  MARGINALIA_OF_PYTHON(PyImport_AddModule, Object * (const char*));
  MARGINALIA_OF_PYTHON(PyObject_GetAttrString, Object * (Object*, const char*));
  MARGINALIA_OF_PYTHON(PyUnicode_AsUTF8, const char*(Object*));
  const auto code = fmt::format(R"(
def _marginalia_import(folder):
    import sys
    if folder and folder not in sys.path: sys.path.append(folder)
    try:
        import marginalia._host
        return marginalia._host.__file__, ''
    except BaseException as error:
        return '', type(error).__name__ + ': ' + str(error) + ', in the Python of ' + sys.prefix
_marginalia_at, _marginalia_why = _marginalia_import({0})
)",
                                quoted(folder_of_package()));
  const auto state = PyGILState_Ensure();
  std::string at, why = "it does not run";
  if (PyRun_SimpleString(code.c_str()) == 0) {
    auto* const main = PyImport_AddModule("__main__");
    at = PyUnicode_AsUTF8(PyObject_GetAttrString(main, "_marginalia_at"));
    why = PyUnicode_AsUTF8(PyObject_GetAttrString(main, "_marginalia_why"));
  }
  PyGILState_Release(state);
  if (at.empty())
    throw SpecError(
        fmt::format("needs the module marginalia of Python (package python3-marginalia): {}", why));
  return at;
}

const PythonParts& load() {
  const Api api;
  MARGINALIA_OF_PYTHON(Py_IsInitialized, int());
  if (!Py_IsInitialized()) start(api);
  const auto file = import_module(api);
  auto* const module = dlopen(file.c_str(), RTLD_NOW | RTLD_NOLOAD);
  const auto* const parts =
      module ? static_cast<const PythonParts*>(dlsym(module, kPythonParts)) : nullptr;
  if (!parts || std::strcmp(parts->stamp, kBuildStamp) != 0)
    throw SpecError(
        fmt::format("{} is of another build ({}) than this program ({}): install both from one",
                    file, parts ? parts->stamp : "one without a stamp", kBuildStamp));
  return *parts;
}

}  // namespace

const PythonParts& parts() {
  static std::mutex mutex;
  static const PythonParts* found = nullptr;
  const std::lock_guard lock(mutex);
  if (!found) found = &load();
  return *found;
}

}  // namespace marginalia::python
