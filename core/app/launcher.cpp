#include "launcher.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <list>
#include <memory>

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/process.hpp>
#include <boost/process/extend.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>

#include "sdk/base/clock.h"

namespace marginalia::app {

namespace process = boost::process;
namespace fs = std::filesystem;

namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

/// Before the new process becomes its program: a group of its own, so that a terminal's Ctrl-C
/// comes through us and once; and a signal when this process is gone.
struct Apart : process::extend::handler {
  template <class Executor>
  void on_exec_setup(Executor&) const {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
  }
};

class Launcher {
 public:
  Launcher(const std::vector<Job>& jobs, int at_once, const JobHooks& hooks)
      : jobs_(jobs), at_once_(std::size_t(at_once)), hooks_(hooks), signals_(io_, SIGINT, SIGTERM) {
    listen();
  }

  bool run() {
    start_some();
    io_.run();
    return next_ == jobs_.size() && !interrupted_;
  }

 private:
  struct Running {
    std::size_t job;
    Clock::time_point start;
    process::child child;
  };

  void listen() {
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (error) return;  // all jobs have ended
      interrupted_ = true;
      for (auto& running : running_)
        kill(running.child.id(), SIGTERM);
      if (!running_.empty()) listen();
    });
  }

  void start_some() {
    while (!interrupted_ && next_ < jobs_.size() && running_.size() < at_once_)
      start(next_++);
    if (running_.empty()) signals_.cancel();
  }

  void start(std::size_t job) {
    hooks_.started(job);
    running_.push_back({job, Clock::now(), {}});
    const auto at = std::prev(running_.end());
    try {
      at->child = spawn(at);
    } catch (const std::exception& e) {  // a full disk, say: the other jobs go on
      running_.erase(at);
      hooks_.ended(job, {.code = 1, .signal = 0, .seconds = 0, .not_started = e.what()});
    }
  }

  process::child spawn(std::list<Running>::iterator at) {
    const auto& job = jobs_[at->job];
    const File log(std::fopen(job.log.c_str(), "ae"), &std::fclose);
    if (!log) throw cannot_write(job.log, errno);
    // Posted: the handler runs while Boost walks its list of children, which a new one would
    // change.
    const auto on_exit = [this, at](int, const std::error_code&) {
      boost::asio::post(io_, [this, at] { finish(at); });
    };
    return process::child(process::exe = this_program().string(), process::args = job.arguments,
                          process::std_in = process::null, process::std_out = log.get(),
                          process::std_err = log.get(), Apart{}, io_, process::on_exit = on_exit);
  }

  void finish(std::list<Running>::iterator at) {
    const auto status = at->child.native_exit_code();
    JobEnd end;
    if (WIFSIGNALED(status))
      end.signal = WTERMSIG(status);
    else
      end.code = WEXITSTATUS(status);
    end.seconds = seconds_since(at->start);
    const auto job = at->job;
    running_.erase(at);
    hooks_.ended(job, end);
    start_some();
  }

  const std::vector<Job>& jobs_;
  std::size_t at_once_, next_ = 0;
  const JobHooks& hooks_;
  boost::asio::io_context io_;
  boost::asio::signal_set signals_;
  std::list<Running> running_;
  bool interrupted_ = false;
};

}  // namespace

bool run_jobs(const std::vector<Job>& jobs, int at_once, const JobHooks& hooks) {
  return Launcher(jobs, at_once, hooks).run();
}

std::string run_for_output(const std::string& program, const std::vector<std::string>& arguments) {
  const auto found = process::search_path(program);
  if (found.empty()) throw Error(fmt::format("{}: no such program in $PATH", program));
  process::ipstream out;
  process::child child(process::exe = found.string(), process::args = arguments,
                       process::std_in = process::null, process::std_out = out);
  std::string text, line;
  while (std::getline(out, line))
    text += line + "\n";
  child.wait();
  if (child.exit_code() != 0)
    throw Error(fmt::format("{} ended with exit status {}", program, child.exit_code()));
  return text;
}

fs::path this_program() {
  return fs::canonical("/proc/self/exe");
}

}  // namespace marginalia::app
