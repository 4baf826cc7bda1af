#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "child_process.h"

namespace marginalia::command {

using marginalia::Error;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kLastWords = 4096;       // bytes of stderr that are kept
constexpr std::size_t kLongestLine = 1 << 20;  // bytes of an answer
constexpr std::size_t kShown = 200;            // bytes of an answer in a message

[[noreturn]] void fail_to(const char* what, int error) {
  throw Error(fmt::format("cannot {}: {}", what, std::strerror(error)));
}

/// The same file above the standard streams' numbers, for this process may have closed those.
Descriptor lifted(int number) {
  const Descriptor low(number);
  const int high = fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (high < 0) fail_to("open a pipe", errno);
  return Descriptor(high);
}

struct Pipe {
  Descriptor ours, theirs;
};

/// A socket, because writing to one whose reader is gone need not raise SIGPIPE.
Pipe to_program() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail_to("open a pipe", errno);
  return {lifted(ends[0]), lifted(ends[1])};
}

Pipe from_program() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_to("open a pipe", errno);
  return {lifted(ends[0]), lifted(ends[1])};
}

/// What becomes of a new process between its birth and its program.
class SpawnOrders {
 public:
  /// The process group that it joins; 0: one of its own.
  explicit SpawnOrders(pid_t group) {
    posix_spawn_file_actions_init(&files_);
    sigset_t none, normal;
    sigemptyset(&none);
    sigemptyset(&normal);
    for (const int signal : {SIGINT, SIGPIPE, SIGTERM})
      sigaddset(&normal, signal);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setpgroup(&attributes_, group);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &normal);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnOrders() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnOrders(const SpawnOrders&) = delete;
  SpawnOrders& operator=(const SpawnOrders&) = delete;

  void start_in(const std::filesystem::path& directory) {
    posix_spawn_file_actions_addchdir_np(&files_, directory.c_str());
  }
  void give(const Descriptor& ours, int as) {
    posix_spawn_file_actions_adddup2(&files_, ours.number(), as);
  }
  void silence(int stream) {
    posix_spawn_file_actions_addopen(&files_, stream, "/dev/null", O_WRONLY, 0);
  }

  /// The process has its three streams and no more.  -> 0 or an errno.
  int start(const std::vector<std::string>& command, pid_t& process) {
    posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1);
    std::vector<char*> words;
    for (const auto& word : command)
      words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    return posix_spawnp(&process, words[0], &files_, &attributes_, words.data(), environ);
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

/// Waits until the process has ended.  -> its status.
int reap(pid_t process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string text_of_end(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
  return fmt::format("ended with exit status {}", WEXITSTATUS(status));
}

/// Replaces bytes that are not UTF-8, so that the text can stand in JSON.
std::string valid(std::string_view text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

/// Reads once what is there.  -> whether more may come.
bool take(const Descriptor& from, std::string& to) {
  char buffer[1 << 16];
  const auto count = read(from.number(), buffer, sizeof buffer);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  to.append(buffer, static_cast<std::size_t>(count));
  return count > 0;
}

}  // namespace

std::string excerpt(std::string_view text) {
  using Json = nlohmann::json;
  const auto shown = Json(text.substr(0, kShown));
  return shown.dump(-1, ' ', true, Json::error_handler_t::replace) +
         (text.size() > kShown ? " ..." : "");
}

void Descriptor::close() {
  if (number_ >= 0) ::close(std::exchange(number_, -1));
}

Group::Group() {
  auto pipe = to_program();
  SpawnOrders orders(0);
  orders.give(pipe.theirs, STDIN_FILENO);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO})
    orders.silence(stream);
  const std::vector<std::string> words{
      "/bin/sh", "-c", "trap '' HUP INT TERM; read -r _; kill -KILL 0", "marginalia-command-group"};
  if (const int error = orders.start(words, leader_); error != 0) fail_to("start /bin/sh", error);
  lifeline_ = std::move(pipe.ours);
}

Group::~Group() {
  kill(-leader_, SIGKILL);  // not yet reaped, its leader still holds the group's number
  reap(leader_);
}

ChildProcess::ChildProcess(const std::vector<std::string>& command,
                           const std::filesystem::path& directory) {
  auto in = to_program(), out = from_program(), err = from_program();
  SpawnOrders orders(group_->number());
  orders.start_in(directory);
  orders.give(in.theirs, STDIN_FILENO);
  orders.give(out.theirs, STDOUT_FILENO);
  orders.give(err.theirs, STDERR_FILENO);
  if (const int error = orders.start(command, process_); error != 0)
    throw Error(fmt::format("cannot be started: {}: {}; a program is looked for in $PATH or, with "
                            "a / in its name, from {}",
                            command.front(), std::strerror(error), directory.string()));
  input_ = std::move(in.ours);
  output_ = std::move(out.ours);
  errors_ = std::move(err.ours);
}

ChildProcess::~ChildProcess() {
  stop(milliseconds(500));
}

std::vector<std::string> ChildProcess::ask(std::string_view questions, std::size_t count,
                                           double seconds) {
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(std::min(seconds, 1e8)));
  std::vector<std::string> lines;
  bool open = take_output();
  take_lines(lines);
  check_surplus(lines, 0);
  while (open && (lines.size() < count || !questions.empty())) {
    if (!wait(!questions.empty(), deadline))
      fail(
          fmt::format("gave {} of {} answers in {} s; it must answer every line at once, in Python "
                      "by print(..., flush=True)",
                      lines.size(), count, seconds));
    write_some(questions);
    open = take_output();
    take_lines(lines);
    check_surplus(lines, count);
  }
  if (lines.size() < count) {
    const bool ended = ends_within(milliseconds(1000));  // as a rule, for its stdout is closed
    stop(milliseconds(0));
    fail(fmt::format("{} after {} of {} answers",
                     ended ? text_of_end(status_) : "closed its stdout", lines.size(), count));
  }
  return lines;
}

void ChildProcess::expect_silence(milliseconds patience) {
  if (!wait(false, Clock::now() + patience)) return;
  take_output();
  std::vector<std::string> lines;
  take_lines(lines);
  check_surplus(lines, 0);
}

/// Waits until the program writes something, or reads when there is something to write to it; what
/// comes on its stderr is kept meanwhile. -> whether that was before `deadline`.
bool ChildProcess::wait(bool writing, Clock::time_point deadline) {
  for (;;) {
    pollfd ends[] = {{output_.number(), POLLIN, 0},
                     {writing ? input_.number() : -1, POLLOUT, 0},
                     {errors_.number(), POLLIN, 0}};
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - Clock::now() + milliseconds(1));
    const auto patience = std::clamp<std::int64_t>(left.count(), 0, 1 << 30);
    const int ready = poll(ends, 3, static_cast<int>(patience));
    if (ready < 0 && errno != EINTR) fail_to("wait for the program", errno);
    if (ready > 0 && ends[2].revents) take_errors();
    if (ready > 0 && (ends[0].revents || ends[1].revents)) return true;
    if (Clock::now() >= deadline) return false;
  }
}

void ChildProcess::write_some(std::string_view& questions) {
  if (questions.empty()) return;
  const auto count =
      send(input_.number(), questions.data(), questions.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count >= 0)
    questions.remove_prefix(static_cast<std::size_t>(count));
  else if (errno != EAGAIN && errno != EINTR)
    questions = {};  // it reads no more; what it has to say stands on its stdout and stderr
}

/// Takes what has come on its stdout.  -> whether more may come.
bool ChildProcess::take_output() {
  pollfd end{output_.number(), POLLIN, 0};
  return poll(&end, 1, 0) <= 0 || take(output_, received_);
}

void ChildProcess::take_errors() {
  if (!take(errors_, last_words_)) errors_.close();
  if (last_words_.size() > kLastWords) last_words_.erase(0, last_words_.size() - kLastWords);
}

/// Moves the whole lines of what was received to `lines`.
void ChildProcess::take_lines(std::vector<std::string>& lines) {
  std::size_t begin = 0;
  for (std::size_t end; (end = received_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const bool carriage = end > begin && received_[end - 1] == '\r';
    lines.push_back(received_.substr(begin, end - begin - (carriage ? 1 : 0)));
  }
  received_.erase(0, begin);
  if (received_.size() > kLongestLine)
    throw Error(fmt::format("wrote a line of more than {} bytes, which is not an answer: {}",
                            kLongestLine, excerpt(received_)));
}

/// Throws Error when more came than was asked for.
void ChildProcess::check_surplus(const std::vector<std::string>& lines, std::size_t asked) const {
  if (lines.size() < asked || (lines.size() == asked && received_.empty())) return;
  throw Error(
      fmt::format("wrote a line that answers no state: {}; its stdout is for answers alone, "
                  "one line for each state, in order",
                  excerpt(lines.size() > asked ? lines[asked] : received_)));
}

/// Whether the program has ended, before or within that time; it is not reaped yet.
bool ChildProcess::ends_within(milliseconds patience) const {
  const auto deadline = Clock::now() + patience;
  for (;;) {
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOWAIT | WNOHANG) != 0)
      return true;  // somebody else has reaped it
    if (info.si_pid != 0) return true;
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
}

/// Sends the signal to the process group, and to the process itself where it has left the group.
void ChildProcess::signal(int number) const {
  kill(-group_->number(), number);
  if (getpgid(process_) != group_->number()) kill(process_, number);
}

/// End of its input and `patience`, SIGTERM and two seconds, SIGKILL to its whole group.
void ChildProcess::stop(milliseconds patience) {
  if (process_ < 0) return;
  input_.close();
  if (!ends_within(patience)) {
    signal(SIGTERM);
    ends_within(milliseconds(2000));
  }
  signal(SIGKILL);
  group_.reset();
  status_ = reap(process_);
  process_ = -1;
}

/// Throws NoAnswer: how it failed and what it said last.
void ChildProcess::fail(const std::string& how) {
  stop(milliseconds(0));
  while (errors_.number() >= 0) {
    pollfd end{errors_.number(), POLLIN, 0};
    if (poll(&end, 1, 0) <= 0) break;
    take_errors();
  }
  auto words = valid(last_words_);
  while (words.ends_with('\n'))
    words.pop_back();
  throw NoAnswer(words.empty() ? how + "; its stderr is empty"
                               : how + "; its stderr ends with\n" + words);
}

}  // namespace marginalia::command
