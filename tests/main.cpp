#define DOCTEST_CONFIG_IMPLEMENT
#include <ATen/Parallel.h>
#include <sched.h>
#include <unistd.h>

#include <string_view>

#include "app/front/process.h"
#include "marginalia_test.h"

namespace {
constexpr int kSkipped = 77;  // what CTest takes for "Skipped"
}  // namespace

/// Where one suite is asked for, as --test-suite=data/mnist, and its cases lack what they need, the
/// exit status says so.
int main(int argc, char** argv) {
  // LibTorch, OpenMP and BLAS are loaded by now: this starts anew, with what the program sets.
  if (marginalia::app::prepare_process()) execv("/proc/self/exe", argv);
  cpu_set_t cpus;
  if (!std::getenv("OMP_NUM_THREADS") && sched_getaffinity(0, sizeof cpus, &cpus) == 0)
    at::set_num_threads(CPU_COUNT(&cpus));
  const int status = doctest::Context(argc, argv).run();
  bool one_suite = false;
  for (int i = 1; i < argc; ++i)
    one_suite = one_suite || std::string_view(argv[i]).starts_with("--test-suite=");
  return status == 0 && one_suite && marginalia::test::skips() > 0 ? kSkipped : status;
}
