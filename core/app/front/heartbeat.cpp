#include "heartbeat.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>

namespace marginalia::app {
namespace {

/// -> -1: nobody listens.
int find_descriptor() {
  const auto* const said = std::getenv(kHeartbeatVariable);
  int process = 0, descriptor = -1;
  if (!said || std::sscanf(said, "%d:%d", &process, &descriptor) != 2) return -1;
  return process == getpid() ? descriptor : -1;
}

/// Signals are for the other threads; without a reader a write fails.
void beat(int descriptor) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (write(descriptor, "", 1) == 1)
    std::this_thread::sleep_for(std::chrono::seconds(1));
}

}  // namespace

std::string describe_heartbeat(int descriptor) {
  return fmt::format("{}:{}", getpid(), descriptor);
}

void beat_for_launcher() {
  const int descriptor = find_descriptor();
  if (descriptor < 0 || fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) return;
  std::thread(beat, descriptor).detach();
}

}  // namespace marginalia::app
