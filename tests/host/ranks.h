#pragma once

#include <netinet/in.h>
#include <omp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <thread>
#include <vector>

#include "host/ranks/communicator.h"
#include "marginalia_test.h"

namespace marginalia::test {

/// A port of 127.0.0.1 that nothing listens at.
inline std::uint16_t free_port() {
  const int probe = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(bind(probe, any, size) == 0);
  REQUIRE(getsockname(probe, any, &size) == 0);
  close(probe);
  return ntohs(address.sin_port);
}

/// Where `size` ranks of this process meet.
inline std::vector<Rendezvous> rendezvous_of(int size) {
  Rendezvous at;
  at.size = size;
  at.port = free_port();
  std::vector<Rendezvous> all(std::size_t(size), at);
  for (int rank = 0; rank < size; ++rank)
    all[std::size_t(rank)].rank = rank;
  return all;
}

/// Calls `work` with each of these ranks, on a thread of its own.  -> what each threw, null:
/// nothing.
template <class Work>
std::vector<std::exception_ptr> on_ranks(const std::vector<Rendezvous>& ranks, const Work& work) {
  std::vector<std::exception_ptr> thrown(ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < ranks.size(); ++i)
    threads.emplace_back([&, i] {
      omp_set_num_threads(1);  // of this thread
      try {
        Communicator communicator(ranks[i]);
        work(communicator);
      } catch (...) {
        thrown[i] = std::current_exception();
      }
    });
  for (auto& thread : threads)
    thread.join();
  return thrown;
}

/// The same, of which none may throw.
template <class Work>
void on_all_ranks(int size, const Work& work) {
  for (const auto& thrown : on_ranks(rendezvous_of(size), work))
    if (thrown) std::rethrow_exception(thrown);
}

/// What an error says; "" for none.
inline std::string said_by(const std::exception_ptr& thrown) {
  if (!thrown) return "";
  return refusal([&] { std::rethrow_exception(thrown); });
}

}  // namespace marginalia::test
