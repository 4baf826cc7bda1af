/// \file
/// What both strings, SMILES and SELFIES, share in how they write numbers.
#pragma once

#include <cstddef>

namespace marginalia::selfies {

inline constexpr std::size_t kMaxNumberDigits = 9;  // of an isotope or a charge

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace marginalia::selfies
