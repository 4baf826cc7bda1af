#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace marginalia::fuzz {

inline constexpr std::size_t kMaxInput = 4096;  // bytes

/// Makes mutants of the inputs of a corpus, the same for the same seed.
class Mutator {
 public:
  Mutator(std::vector<std::string> corpus, std::uint64_t seed);

  /// One of the inputs, or two spliced, after one to eight changes: bits, bytes, words and lines
  /// that are altered, left out, doubled or put in.
  std::string next();

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  void change(std::string& text);
  void replace_word(std::string& text);
  void copy_piece(std::string& text);

  std::vector<std::string> corpus_;
  std::mt19937_64 random_;
};

}  // namespace marginalia::fuzz
