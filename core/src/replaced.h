#pragma once

#include <string>
#include <string_view>

namespace marginalia {

/// Every `what` in `text` replaced by `by`, which is not searched again.
inline std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

}  // namespace marginalia
