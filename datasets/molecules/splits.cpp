#include "splits.h"

#include <algorithm>
#include <cmath>
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

std::vector<Split> split_by_order(std::size_t count, const Fractions& fractions) {
  const auto train = std::min(share(fractions[0], count), count);
  const auto valid = std::min(train + share(fractions[1], count), count);
  std::vector<Split> splits(count, Split::kTest);
  std::fill_n(splits.begin(), valid, Split::kValid);
  std::fill_n(splits.begin(), train, Split::kTrain);
  return splits;
}

std::vector<Split> split_by_scaffold(const std::vector<std::string>& scaffolds,
                                     const Fractions& fractions) {
  const auto count = scaffolds.size();
  std::array<std::size_t, 2> room{share(fractions[0], count), share(fractions[1], count)};
  std::vector<Split> splits(count, Split::kTest);
  for (const auto& group : collect_groups(scaffolds)) {
    std::size_t into = 0;
    while (into < room.size() && room[into] < group.size())
      ++into;
    if (into == room.size()) continue;
    room[into] -= group.size();
    for (const auto i : group)
      splits[i] = into == 0 ? Split::kTrain : Split::kValid;
  }
  return splits;
}

std::vector<Split> split_by_letters(std::string_view letters, std::size_t count,
                                    const std::string& who) {
  std::vector<Split> splits;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const char c = letters[i];
    if (c == 'T')
      splits.push_back(Split::kTrain);
    else if (c == 'V')
      splits.push_back(Split::kValid);
    else if (c == 'E')
      splits.push_back(Split::kTest);
    else if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
      throw SpecError(fmt::format("{}: byte {} is '{}'; a split file has one letter for each "
                                  "molecule: T (train), V (valid) or E (test)",
                                  who, i + 1, c));
  }
  if (splits.size() != count)
    throw SpecError(
        fmt::format("{}: has {} letters, but there are {} molecules", who, splits.size(), count));
  return splits;
}

}  // namespace marginalia::molecules
