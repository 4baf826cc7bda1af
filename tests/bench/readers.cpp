// Times readers of files in process:  marginalia_bench_readers FORMAT FILE [REPEATS]
//
// Prints the bytes, unpacked, that a reader takes apart in a processor second: the median over the
// repeats. Formats are those of tests/fuzz.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <vector>

#include <marginalia/files.h>

#include "tests/fuzz/formats.h"

namespace {

double processor_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s FORMAT FILE [REPEATS]\n", argv[0]);
    return 2;
  }
  const auto& format = marginalia::fuzz::find_format(argv[1]);
  const auto bytes = marginalia::read_unpacked(argv[2]);
  std::vector<double> seconds;
  for (int repeats = argc > 3 ? std::atoi(argv[3]) : 11; repeats > 0; --repeats) {
    const auto begin = processor_seconds();
    format.read(bytes);
    seconds.push_back(processor_seconds() - begin);
  }
  std::ranges::sort(seconds);
  const auto median = seconds[seconds.size() / 2];
  std::printf("%s %s: %.2f MB, %.1f MB a processor second\n", argv[1], argv[2],
              double(bytes.size()) / 1e6, double(bytes.size()) / 1e6 / median);
} catch (const std::exception& e) {
  std::fprintf(stderr, "marginalia_bench_readers: %s\n", e.what());
  return 2;
}
