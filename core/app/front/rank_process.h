#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "descriptor.h"

namespace marginalia::app {

/// What is the same of all ranks of a start.
struct RankStart {
  std::vector<std::string> words;  ///< of the command line
  int ranks = 0;
  std::uint16_t port = 0;  ///< where rank 0 is to listen
  sigset_t blocked{};      ///< signals
};

/// A process of a run, as its launcher sees it. Rank 0 speaks for itself; lines of the others come
/// on stderr, behind their rank.
class RankProcess {
 public:
  using Duration = std::chrono::steady_clock::duration;

  /// Starts this program with torchrun's variables, in a group of its own; SIGTERM comes to it when
  /// this process dies. Throws Error where it cannot.
  RankProcess(int rank, const RankStart& start);

  int rank() const { return rank_; }
  /// Descriptors that become readable when there is something to take.
  std::vector<int> awaited() const;
  /// Prints whole lines that it has said since, and with `all` one that was begun.
  void pass_on(bool all);
  /// Takes its signs of life. elapsed: since the last time, by the launcher's own count.
  void take_beats(Duration elapsed);
  /// For how long it has shown no sign of life.
  Duration silence() const { return silence_; }
  /// Ends it as one that is silent.
  void give_up();

  /// Takes note of its end, and ends what it has started.  -> whether it has ended since.
  bool take_end();
  bool has_ended() const { return status_.has_value(); }
  bool failed() const { return status_ && *status_ != 0; }
  /// Whether it is gone without a word: silent, or ended by a signal that is no wish to stop.
  bool is_lost() const;
  bool was_signalled() const;
  /// Of one that has ended: as a shell has it, but 1 where a signal ended it.
  int code() const;
  std::string describe_end() const;
  const std::string& last_line() const { return last_line_; }
  /// To one that has not ended; SIGKILL goes to what it has started as well.
  void send(int signal) const;

 private:
  [[noreturn]] void become(const RankStart& start, pid_t parent) const;
  void set_variables(const RankStart& start) const;
  void print_line();

  int rank_;
  pid_t process_ = 0;
  Descriptor said_, beats_;       // of rank 0 nothing is said here
  std::string line_, last_line_;  // begun; whole
  std::optional<int> status_;     // as of waitpid, once it has ended
  Duration silence_{0};
  bool is_given_up_ = false;
};

}  // namespace marginalia::app
