#include <dlfcn.h>
#include <sched.h>

#include <ATen/Parallel.h>
#include <oneapi/tbb/global_control.h>

#include "environment.h"

namespace marginalia {

int usable_processors() {
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

struct HeldThreads::Tbb {
  tbb::global_control limit;
};

HeldThreads::HeldThreads(int count)
    : tbb_(new Tbb{{tbb::global_control::max_allowed_parallelism,
                    std::size_t(count) + 1}}) {  // one reads batches ahead
  if (at::get_num_threads() != count) at::set_num_threads(count);
  // Only an OpenBLAS with a pool of its own needs to be told; the others follow OpenMP. Looked up
  // once, as that takes longer than a small network's pass.
  static void* const set = dlsym(RTLD_DEFAULT, "openblas_set_num_threads");
  if (set) reinterpret_cast<void (*)(int)>(set)(count);
}

HeldThreads::~HeldThreads() = default;

}  // namespace marginalia
