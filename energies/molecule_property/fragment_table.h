/// \file
/// The contributions of circular fragments to the SA score, laid out to be found at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace marginalia::molecule_property {

/// The same answers as chemistry::FragmentScores, whose file it reads: the upper half of an
/// identifier leads to the few that share it, which stand side by side in memory.
class FragmentTable {
 public:
  /// From the unpacked bytes of sa_fragment_scores.bin; throws std::invalid_argument.
  explicit FragmentTable(const std::string& bytes);
  double of(std::uint32_t fragment) const;

 private:
  struct Entry {
    std::uint16_t lower, place;  // of the identifier; among the scores
  };
  std::vector<std::uint32_t> first_;  // entry of each upper half, and one more at the end
  std::vector<Entry> entries_;
  std::vector<double> scores_;
};

}  // namespace marginalia::molecule_property
