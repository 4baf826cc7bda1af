#include "launch.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "descriptor.h"
#include "launched_run.h"
#include "rank_process.h"

namespace marginalia::app {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

Error failed(const char* what) {
  return Error(fmt::format("launch: cannot {}: {}", what, std::strerror(errno)));
}

/// Binds a port of this machine (0: any that is free) and frees it again.  -> the port; none where
/// it is taken.
std::optional<std::uint16_t> try_port(std::uint16_t port) {
  const Descriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (*probe < 0) throw failed("make a socket");
  const int yes = 1;  // as rank 0 will: connections that were closed lately are not in the way
  setsockopt(*probe, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(port);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (bind(*probe, any, size) != 0 || listen(*probe, 1) != 0) return std::nullopt;
  if (getsockname(*probe, any, &size) != 0) return std::nullopt;
  return ntohs(address.sin_port);
}

/// $MASTER_PORT, or a port that is free.
std::uint16_t choose_port() {
  const auto* const given = std::getenv("MASTER_PORT");
  std::uint16_t port = 0;
  if (given) {
    const auto* const end = given + std::strlen(given);
    const auto [at, error] = std::from_chars(given, end, port);
    if (error != std::errc() || at != end || port == 0)
      throw SpecError(
          fmt::format("MASTER_PORT: must be a port from 1 to 65535, not \"{}\"", given));
  }
  if (const auto free = try_port(port)) return *free;
  throw SpecError(fmt::format(
      "MASTER_PORT: {} is taken on this machine; leave it unset, and a free one is found", port));
}

constexpr int kRequest = 2, kPlugin = 3, kInterrupted = 130;  // exit codes

/// SIGINT, SIGTERM and SIGCHLD, which come to a descriptor for as long as this is.
class Signals {
 public:
  Signals() {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD})
      sigaddset(&wanted, signal);
    sigprocmask(SIG_BLOCK, &wanted, &usual_);
    descriptor_ = Descriptor(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (*descriptor_ < 0) throw failed("wait for signals");
  }
  ~Signals() { sigprocmask(SIG_SETMASK, &usual_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  int descriptor() const { return *descriptor_; }
  const sigset_t& usual() const { return usual_; }  ///< signals blocked before
  /// -> how often it was asked to stop since.
  int take() const {
    int stops = 0;
    signalfd_siginfo told{};
    while (read(*descriptor_, &told, sizeof told) == ssize_t(sizeof told))
      stops += told.ssi_signo != SIGCHLD;
    return stops;
  }

 private:
  sigset_t usual_{};
  Descriptor descriptor_;
};

/// All ranks from their start to the end of the last.
class Attempt {
 public:
  /// may_restart: where a rank is lost the others are ended at once, to be started again.
  Attempt(const Signals& signals, seconds silence, bool may_restart)
      : signals_(signals), silence_(silence), may_restart_(may_restart) {}
  ~Attempt() { end_all(SIGKILL); }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void run(const RankStart& start) {
    for (int rank = 0; rank < start.ranks; ++rank)
      ranks_.emplace_back(rank, start);
    auto before = Clock::now();
    while (!std::ranges::all_of(ranks_, &RankProcess::has_ended)) {
      wait_for_something();
      take_signals();
      for (auto& rank : ranks_)
        rank.pass_on(false);
      const auto now = Clock::now();
      take_beats(now - std::exchange(before, now));
      take_ends();
      end_others();
    }
    for (auto& rank : ranks_)
      rank.pass_on(true);
  }

  bool can_be_repeated() const { return may_restart_ && is_lost(); }
  /// The first rank that failed; null: none has.
  const RankProcess* failed() const { return failed_; }
  /// What to end with. Not "lost", but asked to stop: before the rank listened.
  int code() const {
    if (!failed_) return 0;
    return is_interrupted_ && failed_->was_signalled() ? kInterrupted : failed_->code();
  }

 private:
  static constexpr auto kToEndByItself = seconds(5), kToEnd = seconds(10);

  bool is_lost() const { return failed_ && failed_->is_lost() && !is_interrupted_; }

  void wait_for_something() const {
    std::vector<pollfd> awaited{{signals_.descriptor(), POLLIN, 0}};
    for (const auto& rank : ranks_)
      for (const int descriptor : rank.awaited())
        awaited.push_back({descriptor, POLLIN, 0});
    constexpr int kMilliseconds = 200;  // deadlines are looked at as often
    poll(awaited.data(), awaited.size(), kMilliseconds);
  }

  void take_signals() {
    for (int n = signals_.take(); n > 0; --n) {
      is_interrupted_ = true;
      end_all(SIGTERM);
    }
  }

  /// While this process was stopped it heard nothing: that is no silence of the ranks.
  void take_beats(Clock::duration elapsed) {
    for (auto& rank : ranks_) {
      rank.take_beats(std::min<Clock::duration>(elapsed, seconds(1)));
      if (rank.has_ended() || rank.silence() < silence_) continue;
      rank.give_up();
      take_failure(rank);
    }
  }

  void take_ends() {
    for (auto& rank : ranks_)
      if (rank.take_end() && rank.failed()) take_failure(rank);
  }

  /// Those that have lost a rank may end before it is seen that it is gone.
  void take_failure(const RankProcess& rank) {
    if (!failed_) failed_at_ = Clock::now();
    if (!failed_ || (!failed_->is_lost() && rank.is_lost() && !is_told_)) failed_ = &rank;
  }

  void end_all(int signal) const {
    for (const auto& rank : ranks_)
      rank.send(signal);
  }

  /// Ranks that have lost one end by themselves; those that do not are ended.
  void end_others() {
    if (!failed_) return;
    const auto since = Clock::now() - failed_at_;
    if (since > kToEndByItself && !is_told_) {
      is_told_ = true;
      end_all(SIGTERM);
    }
    if (can_be_repeated() || since > kToEndByItself + kToEnd) {
      is_told_ = true;
      end_all(SIGKILL);
    }
  }

  const Signals& signals_;
  const seconds silence_;
  const bool may_restart_;
  std::deque<RankProcess> ranks_;
  const RankProcess* failed_ = nullptr;
  Clock::time_point failed_at_;
  bool is_told_ = false, is_interrupted_ = false;
};

class Launch {
 public:
  Launch(const LaunchArguments& a, const Request& request) : a_(a), run_(a.words, request) {}

  int run() {
    for (int restarts = 0;; ++restarts) {
      Attempt attempt(signals_, seconds(a_.silence), restarts < a_.restarts);
      attempt.run({run_.words(), a_.ranks, choose_port(), signals_.usual()});
      if (!attempt.can_be_repeated()) return report(attempt, restarts);
      fmt::print(stderr, "\nmarginalia: rank {} {}; all {} (restart {} of {})\n",
                 attempt.failed()->rank(), attempt.failed()->describe_end(),
                 run_.can_go_on() ? "go on from the last checkpoint" : "begin anew", restarts + 1,
                 a_.restarts);
      run_.start_again();
    }
  }

 private:
  /// Says which rank failed and why, where that was not said: what is wrong with the request, and
  /// that a run was interrupted, the ranks have said themselves.  -> the exit code.
  int report(const Attempt& attempt, int restarts) const {
    const int code = attempt.code();
    if (code == 0 || code == kRequest || code == kPlugin || code == kInterrupted) return code;
    const auto& rank = *attempt.failed();
    fmt::print(
        stderr, "marginalia: rank {} {}; all were ended{}{}\n", rank.rank(), rank.describe_end(),
        restarts == 0 ? ""
                      : fmt::format(", after {} restart{}", restarts, restarts == 1 ? "" : "s"),
        rank.last_line().empty() ? "" : "; its last words: " + rank.last_line());
    if (rank.is_lost() && run_.can_go_on())
      fmt::print(stderr, "  go on with: marginalia launch --ranks {} resume {}\n", a_.ranks,
                 run_.folder().string());
    return code;
  }

  const LaunchArguments& a_;
  LaunchedRun run_;
  Signals signals_;
};

}  // namespace

int launch(const LaunchArguments& a, const Request& request) {
  const std::string why_not = MARGINALIA_NO_RANKS;
  if (!why_not.empty()) throw SpecError("launch: " + why_not);
  return Launch(a, request).run();
}

}  // namespace marginalia::app
