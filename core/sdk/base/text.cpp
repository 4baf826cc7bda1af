#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <marginalia/error.h>

#include "text.h"

namespace marginalia {

/// Levenshtein distance: how many single-character edits turn `a` into `b`.
static std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto edit = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = std::exchange(row[j], edit);
    }
  }
  return row.back();
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const auto best = std::ranges::min_element(candidates, {},
                                             [&](const auto& c) { return edit_distance(word, c); });
  return best != candidates.end() && edit_distance(word, *best) <= 1 + word.size() / 3 ? *best : "";
}

std::string unknown_name(std::string_view kind, std::string_view name,
                         const std::vector<std::string>& known) {
  const auto guess = nearest(name, known);
  return fmt::format("no {} is called \"{}\"{}\n  there is: {}", kind, name,
                     guess.empty() ? "" : fmt::format("; did you mean \"{}\"?", guess),
                     known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

std::string utc_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes)
    text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace marginalia
