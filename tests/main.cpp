#define DOCTEST_CONFIG_IMPLEMENT
#include <ATen/Parallel.h>
#include <sched.h>

#include "marginalia_test.h"

int main(int argc, char** argv) {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) at::set_num_threads(CPU_COUNT(&cpus));
  return doctest::Context(argc, argv).run();
}
