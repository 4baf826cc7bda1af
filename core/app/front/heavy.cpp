#include "heavy.h"

#include <dlfcn.h>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "process.h"

namespace marginalia::app {
namespace {

/// The library beside the program, built or installed, loaded once.
void* library() {
  static void* const library = [] {
    prepare_process();  // before LibTorch is loaded (docs/decisions/0003-launcher.md)
    const auto root = fs::canonical("/proc/self/exe").parent_path().parent_path();
    auto file = root / "lib" / "libmarginalia_app.so";  // built
    if (!fs::exists(file)) file = root / MARGINALIA_LIBRARIES / "libmarginalia_app.so";
    // Lazily: of the functions of LibTorch's 288 libraries few are ever called.
    return dlopen(file.c_str(), RTLD_LAZY | RTLD_GLOBAL);
  }();
  return library;
}

template <class Function>
Function* function(const char* name) {
  void* const found = library() ? dlsym(library(), name) : nullptr;
  if (!found) throw Error(fmt::format("cannot start: {}", dlerror()));
  return reinterpret_cast<Function*>(found);
}

}  // namespace

int serve_by_torch(const Request& request) {
  return function<int(const Request&)>("marginalia_serve")(request);
}

Catalogue load_catalogue(const Options& options) {
  const auto folders = options.plugin_folders();
  const auto cache = default_cache_directory();
  if (auto kept = Catalogue::read(folders, cache)) return *kept;
  Json content;
  if (const int code =
          function<int(const Options&, Json&)>("marginalia_describe")(options, content))
    throw Ended{code};
  Catalogue catalogue(std::move(content), folders);
  catalogue.keep(cache);
  return catalogue;
}

}  // namespace marginalia::app
