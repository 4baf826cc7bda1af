#include "fragment_table.h"

#include <algorithm>
#include <cstring>

#include "shared/chemistry/chemistry.h"

namespace marginalia::molecule_property {

namespace {

constexpr std::size_t kHalves = std::size_t{1} << 16;

template <class T>
std::vector<T> take(const char*& from, std::size_t count) {
  std::vector<T> values(count);
  std::memcpy(values.data(), from, count * sizeof(T));
  from += count * sizeof(T);
  return values;
}

}  // namespace

FragmentTable::FragmentTable(const std::string& bytes) : first_(kHalves + 1) {
  const chemistry::FragmentScores checked(bytes);  // throws unless all that follows is there
  const char* at = bytes.data() + std::strlen("SAFP0001");
  const auto counts = take<std::uint32_t>(at, 2);
  scores_ = take<double>(at, counts[1]);
  const auto differences = take<std::uint32_t>(at, counts[0]);
  const auto places = take<std::uint16_t>(at, counts[0]);
  std::uint32_t fragment = 0;
  for (std::size_t i = 0; i < counts[0]; ++i) {
    fragment += differences[i];
    ++first_[(fragment >> 16) + 1];
    entries_.push_back({static_cast<std::uint16_t>(fragment), places[i]});
  }
  for (std::size_t half = 0; half < kHalves; ++half)
    first_[half + 1] += first_[half];
}

double FragmentTable::of(std::uint32_t fragment) const {
  const auto half = fragment >> 16;
  const auto* end = entries_.data() + first_[half + 1];
  const auto* at = std::find_if(entries_.data() + first_[half], end, [&](const Entry& entry) {
    return entry.lower == static_cast<std::uint16_t>(fragment);
  });
  return at == end ? chemistry::FragmentScores::kUnlisted : scores_[at->place];
}

}  // namespace marginalia::molecule_property
