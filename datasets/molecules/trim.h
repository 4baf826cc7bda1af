#pragma once

#include <string_view>

namespace marginalia::molecules {

inline constexpr std::string_view kBlanks = " \t\r\n";

/// `text` without the kBlanks around it.
inline std::string_view trim(std::string_view text) {
  const auto from = text.find_first_not_of(kBlanks);
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(kBlanks) + 1 - from);
}

}  // namespace marginalia::molecules
