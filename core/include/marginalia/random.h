#pragma once

#include <cstdint>

namespace marginalia {

/// splitmix64's output function: spreads the bits of `z`, so that numbers in a row become numbers
/// without a pattern. Source: Steele, Lea, Flood (2014), doi:10.1145/2660193.2660195.
constexpr std::uint64_t mixed_bits(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// A generator of 64 bits of state, for streams too many for one of LibTorch's each.
class SplitMix64 {
 public:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL;  ///< 2^64 over the golden ratio

  explicit constexpr SplitMix64(std::uint64_t seed) : state_(seed) {}
  /// One of many generators that a seed has, such as one for each row or group of rows.
  constexpr SplitMix64(std::uint64_t seed, std::uint64_t index)
      : state_(seed ^ (index * 0xd1342543de82ef95ULL)) {}
  constexpr std::uint64_t operator()() { return mixed_bits(state_ += kStep); }
  /// A number in [0, 1), of 24 bits.
  constexpr float uniform() { return float((*this)() >> 40) * 0x1p-24F; }

 private:
  std::uint64_t state_;
};

}  // namespace marginalia
