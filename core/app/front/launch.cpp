#include "launch.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::app {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int operator*() const { return number_; }
  void close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

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

/// A process of the run.
struct Rank {
  pid_t process = 0;
  Descriptor said;                        ///< what it says; of rank 0 nothing
  std::string line = {}, last_line = {};  ///< begun; whole
  std::optional<int> status = {};         ///< as of waitpid, once it has ended
  bool failed() const { return status && *status != 0; }
  /// As a shell has it, but 1 where a signal ended it.
  int code() const { return WIFEXITED(*status) ? WEXITSTATUS(*status) : 1; }
};

class Launch {
 public:
  explicit Launch(const LaunchArguments& a) : a_(a), port_(choose_port()) {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD})
      sigaddset(&wanted, signal);
    sigprocmask(SIG_BLOCK, &wanted, &usual_);
    signals_ = Descriptor(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (*signals_ < 0) throw failed("wait for signals");
  }
  ~Launch() {
    end_all(SIGKILL);
    sigprocmask(SIG_SETMASK, &usual_, nullptr);
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  int run() {
    for (int rank = 0; rank < a_.ranks; ++rank)
      start(rank);
    while (std::ranges::any_of(ranks_, [](const Rank& rank) { return !rank.status; })) {
      wait_for_something();
      take_signals();
      for (std::size_t rank = 1; rank < ranks_.size(); ++rank)
        pass_on(rank);
      end_others();
    }
    return report();
  }

 private:
  static constexpr auto kToEndByItself = seconds(5), kToEnd = seconds(10);

  void start(int rank) {
    int pipe[2] = {-1, -1};
    if (rank > 0 && pipe2(pipe, O_CLOEXEC) != 0) throw failed("make a pipe");
    Descriptor out(pipe[0]), in(pipe[1]);
    const auto parent = getpid(), process = fork();
    if (process < 0) throw failed("start a process");
    if (process == 0) become(rank, *in, parent);
    setpgid(process, process);  // as it does itself: whichever comes first
    if (*out >= 0) fcntl(*out, F_SETFL, O_NONBLOCK);
    ranks_.push_back({process, std::move(out)});
  }

  /// The new process becomes a rank, in a group of its own, so that a terminal's Ctrl-C comes
  /// through us and once.
  [[noreturn]] void become(int rank, int said, pid_t parent) const {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    sigprocmask(SIG_SETMASK, &usual_, nullptr);
    const int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    if (rank > 0) {
      dup2(said, STDOUT_FILENO);
      dup2(said, STDERR_FILENO);
    }
    set_variables(rank);
    std::vector<char*> words{const_cast<char*>("marginalia")};
    for (const auto& word : a_.words)
      words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    execv("/proc/self/exe", words.data());
    _exit(1);
  }

  void set_variables(int rank) const {
    const auto set = [](const char* name, const std::string& value) {
      setenv(name, value.c_str(), 1);
    };
    for (const auto* name : {"RANK", "LOCAL_RANK"})
      set(name, std::to_string(rank));
    for (const auto* name : {"WORLD_SIZE", "LOCAL_WORLD_SIZE"})
      set(name, std::to_string(a_.ranks));
    set("MASTER_ADDR", "127.0.0.1");
    set("MASTER_PORT", std::to_string(port_));
    unsetenv("TORCHELASTIC_USE_AGENT_STORE");
  }

  void wait_for_something() const {
    std::vector<pollfd> awaited{{*signals_, POLLIN, 0}};
    for (const auto& rank : ranks_)
      if (*rank.said >= 0) awaited.push_back({*rank.said, POLLIN, 0});
    constexpr int kMilliseconds = 200;  // deadlines are looked at as often
    poll(awaited.data(), awaited.size(), kMilliseconds);
  }

  void take_signals() {
    signalfd_siginfo told{};
    while (read(*signals_, &told, sizeof told) == ssize_t(sizeof told)) {
      if (told.ssi_signo == SIGCHLD) continue;
      is_interrupted_ = true;
      end_all(SIGTERM);
    }
    for (std::size_t i = 0; i < ranks_.size(); ++i) {
      auto& rank = ranks_[i];
      int status = 0;
      if (rank.status || waitpid(rank.process, &status, WNOHANG) != rank.process) continue;
      rank.status = status;
      kill(-rank.process, SIGKILL);  // what it has started
      if (rank.failed() && !first_failed_) {
        first_failed_ = i;
        failed_at_ = Clock::now();
      }
    }
  }

  void end_all(int signal) const {
    for (const auto& rank : ranks_)
      if (!rank.status) kill(signal == SIGKILL ? -rank.process : rank.process, signal);
  }

  /// Ranks that have lost one end by themselves; those that do not are ended.
  void end_others() {
    if (!first_failed_) return;
    const auto since = Clock::now() - failed_at_;
    if (since > kToEndByItself && !is_told_) {
      is_told_ = true;
      end_all(SIGTERM);
    }
    if (since > kToEndByItself + kToEnd) end_all(SIGKILL);
  }

  /// What a rank has said since, line by line.
  void pass_on(std::size_t i) {
    auto& rank = ranks_[i];
    char text[4096];
    for (ssize_t count = 0; (count = read(*rank.said, text, sizeof text)) > 0;)
      for (const char c : std::string_view(text, std::size_t(count)))
        if (c == '\n')
          print_line(i);
        else
          rank.line += c;
  }

  void print_line(std::size_t i) {
    auto& rank = ranks_[i];
    fmt::print(stderr, "[rank {}] {}\n", i, rank.line);
    rank.last_line = std::exchange(rank.line, "");
  }

  /// Says which rank failed and why, where that was not said: what is wrong with the request, and
  /// that a run was interrupted, the ranks have said themselves.  -> the exit code.
  int report() {
    for (std::size_t i = 1; i < ranks_.size(); ++i) {
      pass_on(i);
      if (!ranks_[i].line.empty()) print_line(i);
    }
    if (!first_failed_) return 0;
    constexpr int kRequest = 2, kPlugin = 3, kInterrupted = 130;
    const auto& rank = ranks_[*first_failed_];
    const int code = rank.code();
    if (is_interrupted_ && WIFSIGNALED(*rank.status)) return kInterrupted;  // before it listened
    if (code == kRequest || code == kPlugin || code == kInterrupted) return code;
    fmt::print(stderr, "marginalia: rank {} {}; all were ended{}\n", *first_failed_,
               describe_end(*rank.status),
               rank.last_line.empty() ? "" : "; its last words: " + rank.last_line);
    return code;
  }

  static std::string describe_end(int status) {
    if (WIFEXITED(status))
      return fmt::format("ended first, with exit status {}", WEXITSTATUS(status));
    return fmt::format("was ended by signal {} ({})", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
  }

  const LaunchArguments& a_;
  std::uint16_t port_;
  sigset_t usual_{};  // signals blocked before
  Descriptor signals_;
  std::vector<Rank> ranks_;
  std::optional<std::size_t> first_failed_;
  Clock::time_point failed_at_;
  bool is_told_ = false, is_interrupted_ = false;
};

}  // namespace

int launch(const LaunchArguments& a) {
  const std::string why_not = MARGINALIA_NO_RANKS;
  if (!why_not.empty()) throw SpecError("launch: " + why_not);
  return Launch(a).run();
}

}  // namespace marginalia::app
