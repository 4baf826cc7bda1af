#pragma once

#include <functional>
#include <string>

#include "communicator.h"

namespace marginalia {

/// Beside the type of an error that all ranks throw at once: on those that leave it to rank 0 to
/// say it.
class SaidByRank0 {
 public:
  virtual ~SaidByRank0();
};

/// Throws an E that all ranks throw at once, on the one that says it or on another.
template <class E>
[[noreturn]] void throw_on_all(const std::string& text, bool says) {
  struct Silent final : E, SaidByRank0 {
    using E::E;
  };
  if (!says) throw Silent(text);
  throw E(text);
}

/// Does on all ranks what may go wrong on any, and throws what went wrong on one of them on all: a
/// SpecError, a PluginError or an Error, which names the rank where not all say the same. Of one
/// process (null) it is `work` alone.
void together(Communicator* ranks, const std::function<void()>& work);

/// Throws SpecError on all ranks where their `facts`, a JSON object, differ: names the first rank
/// and key that do.
void check_alike(Communicator& ranks, const std::string& facts);

}  // namespace marginalia
