#pragma once

#include <set>
#include <string>
#include <vector>

namespace marginalia {

/// Watches a parse for a key that stands twice in one object, of which JSON parsers keep the last
/// silently.
template <class AnyJson>
class UniqueKeys {
 public:
  /// -> whether `event` is a key that its object has already.
  bool repeated(typename AnyJson::parse_event_t event, const AnyJson& value) {
    using Event = typename AnyJson::parse_event_t;
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    return event == Event::key &&
           !keys_.back().insert(value.template get_ref<const std::string&>()).second;
  }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

}  // namespace marginalia
