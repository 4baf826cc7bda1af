/// \file
/// Prepares the process, then loads the program: OpenMP, BLAS and malloc read their settings once,
/// when they are loaded, so they are set before LibTorch is. A setting of the user's wins.
#include <dlfcn.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

int main(int argc, char** argv) {
  // Waiting threads sleep: on a shared machine spinning ones cost more than they gain.
  setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  setenv("TORCH_CPP_LOG_LEVEL", "ERROR", 0);
  // Activations of a few MiB are reused instead of being mapped and faulted in anew each time.
  if (!std::getenv("MALLOC_MMAP_THRESHOLD_")) mallopt(M_MMAP_THRESHOLD, 1 << 30);
  if (!std::getenv("MALLOC_TRIM_THRESHOLD_")) mallopt(M_TRIM_THRESHOLD, 1 << 30);
  if (!std::getenv("MALLOC_TOP_PAD_")) mallopt(M_TOP_PAD, 64 << 20);

  const auto program = std::filesystem::canonical("/proc/self/exe");
  const auto root = program.parent_path().parent_path();
  auto library = root / "lib" / "libmarginalia_app.so";  // built
  if (!std::filesystem::exists(library))
    library = root / MARGINALIA_LIBRARIES / "libmarginalia_app.so";  // installed
  void* app = dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL);
  using Main = int (*)(int, char**);
  const auto entry = app ? reinterpret_cast<Main>(dlsym(app, "marginalia_main")) : nullptr;
  if (!entry) {
    std::fprintf(stderr, "marginalia: cannot start: %s\n", dlerror());
    return 1;
  }
  return entry(argc, argv);
}
