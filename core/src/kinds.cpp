#include <marginalia/registry.h>

namespace marginalia {

// In a file of its own, which needs no kind to be complete: the front program says them too.
const std::vector<std::string>& Registry::kinds() {
  static const std::vector<std::string> kinds{"dataset", "energy", "network",
                                              "family",  "metric", "tool"};
  return kinds;
}

}  // namespace marginalia
