#include "process.h"

#include <malloc.h>

#include <cstdlib>
#include <string>

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

/// -> whether `name` was not set before.
bool set_where_unset(const char* name, const char* value) {
  if (!value || std::getenv(name)) return false;
  return setenv(name, value, 0) == 0;
}

}  // namespace

bool prepare_process() {
  // Waiting threads sleep: on a shared machine spinning ones cost more than they gain.
  bool changed = set_where_unset("OMP_WAIT_POLICY", "PASSIVE");
  changed = set_where_unset("TORCH_CPP_LOG_LEVEL", "ERROR") || changed;
  changed = set_where_unset("OPENBLAS_CORETYPE", blas_kernels()) || changed;
  // Activations of a few MiB are reused instead of being mapped and faulted in anew each time.
  if (!std::getenv("MALLOC_MMAP_THRESHOLD_")) mallopt(M_MMAP_THRESHOLD, 1 << 30);
  if (!std::getenv("MALLOC_TRIM_THRESHOLD_")) mallopt(M_TRIM_THRESHOLD, 1 << 30);
  if (!std::getenv("MALLOC_TOP_PAD_")) mallopt(M_TOP_PAD, 64 << 20);
  return changed;
}

}  // namespace marginalia::app
