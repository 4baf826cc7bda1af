/// \file
/// Which split each molecule of a file belongs to.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <marginalia/dataset.h>

namespace marginalia::molecules {

using Fractions = std::array<double, 3>;  ///< of train, valid and test

/// Train first, then valid, then test, in the order of the file; train and valid are rounded.
std::vector<Split> split_by_order(std::size_t count, const Fractions& fractions);

/// Molecules of one scaffold stay together. The largest groups come first (of equal ones, the
/// earlier), each to train while it fits there, else to valid while it fits, else to test.
std::vector<Split> split_by_scaffold(const std::vector<std::string>& scaffolds,
                                     const Fractions& fractions);

/// One letter for each molecule, T, V or E (train, valid, test), in the order of the file; blanks
/// and line ends are passed over. Throws SpecError, naming `who`.
std::vector<Split> split_by_letters(std::string_view letters, std::size_t count,
                                    const std::string& who);

}  // namespace marginalia::molecules
