#include "splits.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::molecules {

namespace {

std::size_t share(double fraction, std::size_t count) {
  return static_cast<std::size_t>(std::llround(fraction * static_cast<double>(count)));
}

/// The molecules of each group, largest group first.
std::vector<std::vector<std::size_t>> collect_groups(const std::vector<std::string>& names) {
  std::unordered_map<std::string_view, std::size_t> place;
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto [at, fresh] = place.try_emplace(names[i], groups.size());
    if (fresh) groups.emplace_back();
    groups[at->second].push_back(i);
  }
  std::ranges::stable_sort(groups, std::greater<>(), [](const auto& g) { return g.size(); });
  return groups;
}

}  // namespace

SplitLetters split_by_order(std::size_t count, const Fractions& fractions) {
  const auto train = std::min(share(fractions[0], count), count);
  const auto valid = std::min(share(fractions[1], count), count - train);
  return SplitLetters(train, 'T').append(valid, 'V').append(count - train - valid, 'E');
}

SplitLetters split_by_scaffold(const std::vector<std::string>& scaffolds,
                               const Fractions& fractions) {
  const auto count = scaffolds.size();
  std::array<std::size_t, 2> room{share(fractions[0], count), share(fractions[1], count)};
  SplitLetters letters(count, 'E');
  for (const auto& group : collect_groups(scaffolds)) {
    std::size_t into = 0;
    while (into < room.size() && room[into] < group.size())
      ++into;
    if (into == room.size()) continue;
    room[into] -= group.size();
    for (const auto i : group)
      letters[i] = kSplitLetters[into];
  }
  return letters;
}

SplitLetters read_split(const TextFile& file, std::size_t count) {
  SplitLetters letters;
  for (LineReader lines(file.text()); lines.next();) {
    const auto line = lines.line();
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (kBlanks.find(line[i]) != kBlanks.npos) continue;
      if (kSplitLetters.find(line[i]) == kSplitLetters.npos)
        file.fail(lines.number(),
                  fmt::format("character {} is '{}'; a split file has one letter for each "
                              "molecule: T (train), V (valid) or E (test)",
                              i + 1, line[i]));
      letters += line[i];
    }
  }
  if (letters.size() != count)
    throw SpecError(fmt::format("{}: has {} letters, but there are {} molecules", file.name(),
                                letters.size(), count));
  return letters;
}

}  // namespace marginalia::molecules
