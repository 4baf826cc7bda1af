/// \file
/// Which split each molecule of a file belongs to.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/text_file.h>

namespace marginalia::molecules {

/// A letter for each molecule: T (train), V (valid) or E (test).
using SplitLetters = std::string;
inline constexpr std::string_view kSplitLetters = "TVE";  ///< in the order of marginalia::Split

using Fractions = std::array<double, 3>;  ///< of train, valid and test

/// Train first, then valid, then test, in the order of the file; train and valid are rounded.
SplitLetters split_by_order(std::size_t count, const Fractions& fractions);

/// Molecules of one scaffold stay together. The largest groups come first (of equal ones, the
/// earlier), each to train while it fits there, else to valid while it fits, else to test.
SplitLetters split_by_scaffold(const std::vector<std::string>& scaffolds,
                               const Fractions& fractions);

/// The letters of a file, in the order of the molecules; blanks and ends of lines are passed over.
/// Throws SpecError, saying where, unless there are `count` of them.
SplitLetters read_split(const TextFile& file, std::size_t count);

}  // namespace marginalia::molecules
