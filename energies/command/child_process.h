#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <marginalia/error.h>

namespace marginalia::command {

/// The program ended, or did not answer in time: started again, it may do better.
class NoAnswer final : public marginalia::Error {
 public:
  using Error::Error;
};

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { close(); }
  void close();
  int number() const { return number_; }  ///< -1: closed

 private:
  int number_ = -1;
};

/// A process group that ends with this process, however that ends, SIGKILL included.
///
/// A shell of two commands leads it: it waits for the end of a stream that this process alone holds
/// open, then kills the group. PR_SET_PDEATHSIG would do neither for what a program has started nor
/// for a program whose starting thread ends before the process does.
class Group {
 public:
  Group();   ///< throws Error if the shell cannot be started
  ~Group();  ///< SIGKILL to all that is in it
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  pid_t number() const { return leader_; }

 private:
  pid_t leader_ = -1;
  Descriptor lifeline_;
};

/// A program that answers each line on its stdin by a line on its stdout.
///
/// It runs in a process group of its own, so that Ctrl-C at a terminal stops this process at a
/// checkpoint and not the program in the middle of a batch. Not for several threads at once.
class ChildProcess {
 public:
  /// Starts `command`, its first word looked for in $PATH or, with a slash in it, from `directory`,
  /// where the program runs. Throws Error if it cannot be started.
  ChildProcess(const std::vector<std::string>& command, const std::filesystem::path& directory);
  /// End of its input, then SIGTERM, then SIGKILL, to it and what it has started. Reaped. Where
  /// this process is killed, so are they.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Writes `questions`, lines, and reads `count` lines, both at a time: neither side waits for the
  /// other, however long they are. -> the answers, without line ends.
  ///
  /// Throws NoAnswer when the program ends or `seconds` pass before, with the end of its stderr,
  /// and Error when it writes more lines. After either it is of no more use.
  std::vector<std::string> ask(std::string_view questions, std::size_t count, double seconds);
  /// Throws Error when it writes, unasked, within that time.
  void expect_silence(std::chrono::milliseconds patience);

 private:
  using Clock = std::chrono::steady_clock;

  void write_some(std::string_view& questions);
  bool wait(bool writing, Clock::time_point deadline);
  bool take_output();
  void take_errors();
  void take_lines(std::vector<std::string>& lines);
  void check_surplus(const std::vector<std::string>& lines, std::size_t asked) const;
  bool ends_within(std::chrono::milliseconds patience) const;
  void signal(int number) const;
  void stop(std::chrono::milliseconds patience);
  [[noreturn]] void fail(const std::string& how);

  std::optional<Group> group_{std::in_place};
  pid_t process_ = -1;  // -1: reaped
  int status_ = 0;      // of waitpid
  Descriptor input_, output_, errors_;
  std::string received_;    // of its stdout, after the last whole line
  std::string last_words_;  // of its stderr
};

/// Text of unknown origin in quotes, cut to a line and escaped: fit for a message.
std::string excerpt(std::string_view text);

}  // namespace marginalia::command
