#include "rank_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <marginalia/error.h>

#include "heartbeat.h"

namespace marginalia::app {
namespace {

Error failed_to(const char* what) {
  return Error(fmt::format("launch: cannot {}: {}", what, std::strerror(errno)));
}

struct Pipe {
  Descriptor out, in;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw failed_to("make a pipe");
    out = Descriptor(ends[0]);
    in = Descriptor(ends[1]);
    fcntl(*out, F_SETFL, O_NONBLOCK);
  }
};

}  // namespace

RankProcess::RankProcess(int rank, const RankStart& start) : rank_(rank) {
  Pipe said, beats;
  const auto parent = getpid();
  process_ = fork();
  if (process_ < 0) throw failed_to("start a process");
  if (process_ == 0) {
    said_ = std::move(said.in);
    beats_ = std::move(beats.in);
    become(start, parent);
  }
  setpgid(process_, process_);  // as it does itself: whichever comes first
  if (rank > 0) said_ = std::move(said.out);
  beats_ = std::move(beats.out);
}

/// The new process becomes a rank, in a group of its own, so that a terminal's Ctrl-C comes
/// through the launcher and once.
void RankProcess::become(const RankStart& start, pid_t parent) const {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);
  sigprocmask(SIG_SETMASK, &start.blocked, nullptr);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  if (rank_ > 0) {
    dup2(*said_, STDOUT_FILENO);
    dup2(*said_, STDERR_FILENO);
  }
  fcntl(*beats_, F_SETFD, 0);
  set_variables(start);
  std::vector<char*> words{const_cast<char*>("marginalia")};
  for (const auto& word : start.words)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  execv("/proc/self/exe", words.data());
  _exit(1);
}

void RankProcess::set_variables(const RankStart& start) const {
  const auto set = [](const char* name, const std::string& value) {
    setenv(name, value.c_str(), 1);
  };
  for (const auto* name : {"RANK", "LOCAL_RANK"})
    set(name, std::to_string(rank_));
  for (const auto* name : {"WORLD_SIZE", "LOCAL_WORLD_SIZE"})
    set(name, std::to_string(start.ranks));
  set("MASTER_ADDR", "127.0.0.1");
  set("MASTER_PORT", std::to_string(start.port));
  set(kHeartbeatVariable, describe_heartbeat(*beats_));
  unsetenv("TORCHELASTIC_USE_AGENT_STORE");
}

std::vector<int> RankProcess::awaited() const {
  std::vector<int> descriptors;
  for (const int descriptor : {*said_, *beats_})
    if (descriptor >= 0) descriptors.push_back(descriptor);
  return descriptors;
}

void RankProcess::pass_on(bool all) {
  char text[4096];
  ssize_t count = 0;
  while ((count = read(*said_, text, sizeof text)) > 0)
    for (const char c : std::string_view(text, std::size_t(count)))
      if (c == '\n')
        print_line();
      else
        line_ += c;
  if (count == 0) said_.close();  // it is not asked for again
  if (all && !line_.empty()) print_line();
}

void RankProcess::print_line() {
  fmt::print(stderr, "[rank {}] {}\n", rank_, line_);
  last_line_ = std::exchange(line_, "");
}

void RankProcess::take_beats(Duration elapsed) {
  if (has_ended() || is_given_up_) return;
  char beats[256];
  silence_ += elapsed;
  while (read(*beats_, beats, sizeof beats) > 0)
    silence_ = {};
}

void RankProcess::give_up() {
  is_given_up_ = true;
  send(SIGKILL);
}

bool RankProcess::take_end() {
  int status = 0;
  if (has_ended() || waitpid(process_, &status, WNOHANG) != process_) return false;
  kill(-process_, SIGKILL);
  status_ = status;
  beats_.close();
  return true;
}

bool RankProcess::was_signalled() const {
  return status_ && WIFSIGNALED(*status_);
}

bool RankProcess::is_lost() const {
  if (is_given_up_) return true;
  if (!was_signalled()) return false;
  const int signal = WTERMSIG(*status_);
  return signal != SIGTERM && signal != SIGINT && signal != SIGHUP;
}

int RankProcess::code() const {
  return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : 1;
}

std::string RankProcess::describe_end() const {
  if (is_given_up_) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silence_);
    return fmt::format("was silent for {} s", seconds.count());
  }
  if (WIFEXITED(*status_))
    return fmt::format("ended first, with exit status {}", WEXITSTATUS(*status_));
  return fmt::format("was ended by signal {} ({})", WTERMSIG(*status_),
                     strsignal(WTERMSIG(*status_)));
}

void RankProcess::send(int signal) const {
  if (!has_ended()) kill(signal == SIGKILL ? -process_ : process_, signal);
}

}  // namespace marginalia::app
