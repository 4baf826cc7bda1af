#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/api.h>

namespace marginalia {

/// The candidate nearest to `word`, or "" when none is near: for "did you mean".
MARGINALIA_API std::string nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

/// Every `what` in `text` replaced by `by`, which is not searched again.
MARGINALIA_API std::string replaced(std::string text, std::string_view what, std::string_view by);

/// "2026-01-31T23:59:59Z".
MARGINALIA_API std::string utc_text(std::chrono::system_clock::time_point time);

/// Bytes as hexadecimal digits, lower case.
MARGINALIA_API std::string hex(std::string_view bytes);

}  // namespace marginalia
