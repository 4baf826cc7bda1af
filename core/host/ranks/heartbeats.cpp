#include "heartbeats.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace marginalia {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kPeriod{1000}, kLook{200};
constexpr milliseconds kMissed{2500};  // since the last beat: two were not heard
constexpr std::int64_t kLeft = INT64_MIN / 2;

std::string key_of(int rank) {
  return fmt::format("beat/{}", rank);
}

}  // namespace

struct Heartbeats::State {
  explicit State(Place at) : place(std::move(at)) {
    const int first = place.rank == 0 ? 1 : 0, end = place.rank == 0 ? place.size : 1;
    for (int rank = first; rank < end; ++rank)
      others[fmt::format("rank {}", rank)] = {key_of(rank)};
    talking = std::thread([this] { talk(); });
    watching = std::thread([this] { watch(); });
  }
  ~State() {
    {
      const std::lock_guard lock(mutex);
      leaves = true;
    }
    changed.notify_all();
    talking.join();
    watching.join();
  }

  struct Other {
    std::string key;
    std::int64_t beats = 0;
    Clock::duration silence{0};
    bool has_left = false;
  };

  /// May wait for an answer that does not come.
  void talk() {
    bool closed = false;
    try {
      while (!exchange()) {
      }
    } catch (const std::exception&) {  // what ranks do together will fail as well
      closed = true;
    }
    const std::lock_guard lock(mutex);
    is_closed = closed;
    is_over = true;
    changed.notify_all();
  }

  /// One beat, and those of the others.  -> whether it was the last.
  bool exchange() {
    std::unique_lock lock(mutex);
    const bool last = changed.wait_for(lock, kPeriod, [&] { return leaves; });
    lock.unlock();
    place.add(key_of(place.rank), last ? kLeft : 1);
    for (auto& [_, other] : others) {
      const auto beats = last ? other.beats : place.add(other.key, 0);
      const std::lock_guard held(mutex);
      if (beats != other.beats) other.silence = {};
      other.has_left = beats < 0;
      other.beats = beats;
    }
    lock.lock();
    keeper_silence = {};
    return last;
  }

  /// Never waits for another rank.
  void watch() {
    std::unique_lock lock(mutex);
    for (auto before = Clock::now(); !is_over;) {
      changed.wait_for(lock, kLook);
      const auto now = Clock::now();
      // While this process was stopped it heard nothing: that is no silence of the others.
      const auto elapsed = std::min<Clock::duration>(now - std::exchange(before, now), kPeriod);
      keeper_silence += elapsed;
      for (auto& [_, other] : others)
        other.silence += elapsed;
      const auto who = find_silent(place.silence);
      if (who.empty() || is_over) continue;
      lock.unlock();
      return place.give_up(who);
    }
  }

  /// "": nobody is.
  std::string find_silent(Clock::duration limit) const {
    if (is_closed || keeper_silence >= limit) return place.keeper;
    for (const auto& [name, other] : others)
      if (!other.has_left && other.silence >= limit) return name;
    return "";
  }

  Place place;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Other> others;
  Clock::duration keeper_silence{0};  // since the last exchange
  bool leaves = false, is_closed = false, is_over = false;
  std::thread talking, watching;
};

Heartbeats::Heartbeats(Place place) : state_(std::make_unique<State>(std::move(place))) {}
Heartbeats::~Heartbeats() = default;

std::string Heartbeats::find_lost() const {
  std::unique_lock lock(state_->mutex);
  std::string who;
  const auto end = Clock::now() + kMissed + 2 * kPeriod;
  while ((who = state_->find_silent(kMissed)).empty() && Clock::now() < end)
    state_->changed.wait_for(lock, kLook);
  return who;
}

}  // namespace marginalia
