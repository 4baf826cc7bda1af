#include "heavy.h"

#include <dlfcn.h>
#include <malloc.h>

#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::app {
namespace {

/// The kernels of OpenBLAS for this processor, by what it can do; null: as OpenBLAS sees it. By
/// itself it knows processors by their numbers, and takes one that is newer than it is for one of
/// 2004: Debian 12's an Emerald Rapids, whose products then take 3.4 times as long.
const char* blas_kernels() {
#if defined(__x86_64__)
  const auto* const limit = std::getenv("MARGINALIA_MAX_CPU_ISA");
  const bool is_limited = limit && (std::string(limit) == "avx2" || std::string(limit) == "AVX2");
  if (!is_limited && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return "SkylakeX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

/// OpenMP, BLAS and malloc read their settings once, when they are loaded, so they are set before
/// LibTorch is (docs/decisions/0003-launcher.md). A setting of the user's wins.
void prepare_process() {
  // Waiting threads sleep: on a shared machine spinning ones cost more than they gain.
  setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  setenv("TORCH_CPP_LOG_LEVEL", "ERROR", 0);
  if (const auto* const kernels = blas_kernels()) setenv("OPENBLAS_CORETYPE", kernels, 0);
  // Activations of a few MiB are reused instead of being mapped and faulted in anew each time.
  if (!std::getenv("MALLOC_MMAP_THRESHOLD_")) mallopt(M_MMAP_THRESHOLD, 1 << 30);
  if (!std::getenv("MALLOC_TRIM_THRESHOLD_")) mallopt(M_TRIM_THRESHOLD, 1 << 30);
  if (!std::getenv("MALLOC_TOP_PAD_")) mallopt(M_TOP_PAD, 64 << 20);
}

/// The library beside the program, built or installed, loaded once.
void* library() {
  static void* const library = [] {
    prepare_process();
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
