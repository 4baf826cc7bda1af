#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace marginalia {

/// Ranks that tell each other every second that they live, on threads of their own: a slow step is
/// no silence. Rank 0 listens to all, the others to rank 0.
class Heartbeats {
 public:
  struct Place {
    int rank = 0, size = 1;
    std::chrono::milliseconds silence{10'000};  ///< after which a rank counts as gone
    /// Adds to a number that all ranks see.  -> the sum. Throws where it is out of reach; one
    /// thread calls it.
    std::function<std::int64_t(const std::string& key, std::int64_t by)> add;
    std::string keeper = "rank 0";  ///< who keeps the numbers
    /// Is told once, by another thread, who is silent.
    std::function<void(const std::string& who)> give_up;
  };

  explicit Heartbeats(Place place);
  ~Heartbeats();  ///< Tells the others that this rank leaves, and is not to be listened to.
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  /// Who has missed two beats, for which it waits a few seconds, as when another rank is known to
  /// be gone; "": nobody that is listened to.
  std::string find_lost() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace marginalia
